package ciconfig

import (
	"path"
	"regexp"
	"slices"
	"strings"
)

// sed often puts the image of a deployment into a file of another repository, or on a
// server, which keeps what it gets: the next run has to find there what this one writes.
//
//	sed -i "s|image: .*/api:.*|image: $CI_REGISTRY_IMAGE:api-$T|" stack.yml

// sedElsewhere is a script of such a command.
type sedElsewhere struct {
	job      *job
	at       span
	script   text
	extended bool
	away     bool // on another machine
}

// recordSedElsewhere remembers what sed writes into files that are not in the repository.
func (r *run) recordSedElsewhere(sh *shell, c *command, lits []string) {
	if r.now == nil {
		return
	}
	if lits[0] == "git" && slices.Contains(lits, "push") {
		r.gitPushes[r.now] = true
	}
	if lits[0] != "sed" {
		return
	}
	e := sedElsewhere{job: r.now, away: sh.away}
	var scripts []int
	next, inPlace, files := false, false, 0
	for i := 1; i < len(c.args); i++ {
		switch l := c.lit(i); {
		case l == "": // behind -i, for the sed of macOS
		case next || len(scripts) == 0 && !strings.HasPrefix(l, "-"):
			next = false
			scripts = append(scripts, i)
		case l == "-e" || l == "--expression":
			next = true
		case strings.HasPrefix(l, "--"):
			e.extended = e.extended || l == "--regexp-extended"
			inPlace = inPlace || strings.HasPrefix(l, "--in-place")
		case strings.HasPrefix(l, "-"):
			e.extended = e.extended || strings.ContainsAny(l, "Er")
			inPlace = inPlace || strings.Contains(l, "i")
		default:
			files++
			if !sh.away && len(r.filesNamed(sh, l)) > 0 {
				return
			}
		}
	}
	if !inPlace || files == 0 {
		return
	}
	for _, i := range scripts {
		e.at, e.script = c.argSpan(i), c.args[i]
		r.sedsElsewhere = append(r.sedsElsewhere, e)
		for _, v := range sh.later(c.args[i]) { // its variables are put in there
			e.script = v
			r.sedsElsewhere = append(r.sedsElsewhere, e)
		}
	}
}

// keeps says whether what sed has written is still there at its next run.
func (r *run) keeps(e sedElsewhere) bool { return e.away || r.gitPushes[e.job] }

// sedWrites reports where sed finds an image only in the form that it had.
func (r *run) sedWrites() {
	for _, e := range r.sedsElsewhere {
		if !r.keeps(e) {
			continue
		}
		for _, ref := range r.references(e.script) {
			if !ref.own || ref.sep < 0 || ref.colon < 0 || !slices.ContainsFunc(r.uses, func(u *use) bool {
				return u.bad == "" && !u.settled && u.at.src == e.at.src && u.at.start < e.at.end && u.at.end > e.at.start && u.ref.String() == ref.String()
			}) {
				continue
			}
			s := ref.f.s
			for _, sub := range substitutions(s) {
				switch {
				case ref.start < sub.from-1-len(sub.word) || ref.end > sub.to:
				case ref.start < sub.from:
					r.reportWhy(Warning, "string-operation", e.at, "", "sed looks for the new name in a file that has the old one, and is not in the repository").
						Remedy = "write the new name there once"
				case e.losesIt(ref, sub):
					r.reportWhy(Warning, "string-operation", e.at, "", "sed does not find what it writes now when it runs again, in a file that is not in the repository").
						Remedy = "let it look for the new form too, such as [/:]api[:-] in place of /api:"
				}
			}
		}
	}
}

// losesIt says whether a substitution finds what it has written so far, and not what it
// writes now.
func (e sedElsewhere) losesIt(ref *reference, sub substitution) bool {
	s := ref.f.s
	re, _, ok := sedPattern(sub.word, s[sub.from-1], e.extended)
	if !ok || strings.Contains(sub.word, s[ref.start:ref.base]) { // that follows
		return false
	}
	before, behind := sub.found(s[sub.from:ref.start]), s[ref.tagEnd:sub.to]
	base, name, tag := s[ref.start:ref.sep], s[ref.sep+1:ref.nameEnd], s[ref.colon+1:ref.tagEnd]
	return re.MatchString(before+s[ref.start:ref.tagEnd]+behind) && !re.MatchString(before+base+":"+strings.ReplaceAll(name, "/", "-")+"-"+tag+behind)
}

// groups are the parts of a pattern that sed can put in again, in the two ways to write
// them.
var groups = regexp.MustCompile(`\\?\(([^()\\]*(?:\\[^()][^()\\]*)*)\\?\)`)

// found is what sed puts in, where parts of the pattern stand for what it finds.
func (s substitution) found(with string) string {
	for i, m := range groups.FindAllStringSubmatch(s.word, 9) {
		with = strings.ReplaceAll(with, `\`+string(rune('1'+i)), m[1])
	}
	return with
}

// tagAlone reports where sed puts in the tag alone, behind the name that one of these
// images had.
func (e sedElsewhere) tagAlone(r *run, tag string, images []string) {
	if r.mentions(e.script) {
		return
	}
	script := e.script.traced()
	for _, sub := range substitutions(script) {
		before, _, ok := strings.Cut(sub.found(script[sub.from:sub.to]), tag)
		if !ok {
			continue
		}
		word := before[strings.LastIndexAny(before, " \t\"'=")+1:]
		for _, image := range images {
			name := path.Base(image[:strings.LastIndexByte(image, ':')])
			if rest, ok := strings.CutSuffix(word, name+":"); ok && !hosted(word) && (rest == "" || strings.HasSuffix(rest, "/") || strings.HasSuffix(rest, "*")) {
				r.report("tag-handed-on", e.at, image)
			}
		}
	}
}
