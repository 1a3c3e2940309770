package ciconfig

import (
	"regexp"
	"slices"
	"strings"
)

// sed that a job runs over a file of the repository, such as one for a server, looks for
// text in it. Where an image in a line gets another form, sed has to find the same there:
//
//	sed -i "s|shop/api:.*|shop/api:$T|" stack.yml   # image: $CI_REGISTRY_IMAGE:api-1

// sedRun is a command of sed, with the files that it reads.
type sedRun struct {
	at    span
	files []*source
	looks []sedLook
}

// sedLook is what sed looks for, in an address or to put other text in its place.
type sedLook struct {
	pattern *regexp.Regexp // nil where it is not known
	address bool
	keeps   bool // what it puts in has parts of what it finds
}

// recordSedRun remembers what sed looks for in files of the repository.
func (r *run) recordSedRun(sh *shell, c *command, lits []string) {
	if lits[0] != "sed" || r.now == nil || sh.away {
		return
	}
	run := sedRun{at: c.at}
	var scripts []int
	next, extended, script := false, false, -1
	for i := 1; i < len(c.args); i++ {
		switch l := c.lit(i); {
		case next || script < 0 && !strings.HasPrefix(l, "-") || c.pos[i] == script:
			next, script = false, c.pos[i]
			scripts = append(scripts, i)
		case l == "-e" || l == "--expression":
			next = true
		case strings.HasPrefix(l, "-"):
			extended = extended || l == "--regexp-extended" || !strings.HasPrefix(l, "--") && strings.ContainsAny(l, "Er")
		default:
			run.files = append(run.files, r.filesNamed(sh, l)...)
		}
	}
	if len(run.files) == 0 {
		return
	}
	for _, i := range scripts {
		run.looks = append(run.looks, sedLooks(r.flatten(c.args[i]).s, extended)...)
	}
	if len(run.looks) > 0 {
		r.sedRuns = append(r.sedRuns, run)
	}
}

// sedLooks is what a script of sed looks for, as far as it is understood.
// https://www.gnu.org/software/sed/manual/sed.html#sed-script-overview
func sedLooks(s string, extended bool) (out []sedLook) {
	upTo := func(delimiter byte) (part string, ok bool) {
		for k := 0; k < len(s); k++ {
			switch s[k] {
			case '\\':
				k++
			case delimiter:
				part, s = s[:k], s[k+1:]
				return part, true
			}
		}
		return "", false
	}
	add := func(pattern string, delimiter byte, l sedLook) {
		if re, _, ok := sedPattern(pattern, delimiter, extended); ok && !strings.ContainsRune(pattern, gap) {
			l.pattern = re
		}
		out = append(out, l)
	}
	for s != "" {
		command := s[0]
		s = s[1:]
		switch command {
		case '/':
			pattern, ok := upTo('/')
			if !ok {
				return out
			}
			add(pattern, '/', sedLook{address: true})
		case 's', 'y':
			if s == "" {
				return out
			}
			delimiter := s[0]
			s = s[1:]
			pattern, ok := upTo(delimiter)
			with, closed := upTo(delimiter)
			if !ok || !closed {
				return out
			}
			if command == 's' {
				add(pattern, delimiter, sedLook{keeps: backReference.MatchString(with)})
			}
			s = strings.TrimLeft(s, "gpiImMe0123456789")
		case 'a', 'i', 'c', '#':
			_, s, _ = strings.Cut(s, "\n")
		}
	}
	return out
}

// backReference is what stands for text that has been found.
var backReference = regexp.MustCompile(`^&|[^\\]&|\\[0-9]`)

// sedMisses reports the commands of sed that find something else, or nothing, in a line of
// which changes give an image another form.
func (r *run) sedMisses(changes []change) {
	if len(r.sedRuns) == 0 {
		return
	}
	put := inFiles(changes)
	for _, s := range r.sedRuns {
		unknown := slices.ContainsFunc(s.looks, func(l sedLook) bool { return l.pattern == nil && !l.address })
		for _, src := range s.files {
			if unknown && len(put[src]) > 0 {
				r.reportWhy(Warning, "string-operation", s.at, "", "what sed looks for in "+src.path+" is not known, and images in it have another form now").
					Remedy = "see that it still finds them, and what it leaves of their names"
			}
			eachLine(put[src], func(line span, list []change) {
				after := changed(line, list)
				if slices.ContainsFunc(s.looks, func(l sedLook) bool { return l.misses(line, after, list) }) {
					r.reportWhy(Blocking, "string-operation", s.at, "", "sed looks for text that "+src.path+" has in another form now").
						Remedy = "let it look for a word that stands in the place of the tag alone, such as __TAG__"
				}
			})
		}
	}
}

// misses says whether sed finds something in a line and not the same in what becomes of it.
func (l sedLook) misses(line span, after string, list []change) bool {
	if l.pattern == nil {
		return false
	}
	first, last := list[0].start-line.start, list[len(list)-1].end-line.start
	still := l.pattern.MatchString(strings.TrimRight(after, "\r\n"))
	for _, m := range l.pattern.FindAllStringIndex(strings.TrimRight(line.text(), "\r\n"), -1) {
		switch {
		case !slices.ContainsFunc(list, func(c change) bool { return c.start < line.start+m[1] && c.end > line.start+m[0] }):
		case still && (l.address || m[0] <= first && last <= m[1] && !l.keeps):
		default:
			return true
		}
	}
	return false
}

// eachLine gives the lines that changes in the order of a file lie in.
func eachLine(list []change, do func(line span, list []change)) {
	for len(list) > 0 {
		line := span{src: list[0].src}
		line.start, line.end = line.src.line(list[0].start)
		n := 1
		for n < len(list) && list[n].end <= line.end {
			n++
		}
		do(line, list[:n])
		list = list[n:]
	}
}

// changed is a line with changes, which are in order.
func changed(line span, list []change) string {
	var b strings.Builder
	at := line.start
	for _, c := range list {
		if c.start >= at {
			b.Write(line.src.data[at:c.start])
			b.WriteString(c.with)
			at = c.end
		}
	}
	b.Write(line.src.data[min(at, line.end):line.end])
	return b.String()
}
