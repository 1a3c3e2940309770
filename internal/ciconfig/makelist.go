package ciconfig

import (
	"regexp"
	"strings"
)

// What a target needs is often a list that make puts together out of names: an image for
// each of them, made by a rule with a pattern.

// makeList is a function that makes such a list of words.
// https://www.gnu.org/software/make/manual/html_node/Text-Functions.html
var makeList = regexp.MustCompile(`\$[({](addprefix|addsuffix|patsubst) +((?:[^(){}$]|\$\{\w+\})*)[)}]`)

// makeEach is the short form of patsubst: $(IMAGES:%=build-%).
var makeEach = regexp.MustCompile(`\$[({]([A-Za-z_][A-Za-z0-9_]*):([^=(){}$]*)=([^(){}$]*)[)}]`)

// makeForeach is one that makes a text for each word of a list.
// https://www.gnu.org/software/make/manual/html_node/Foreach-Function.html
var makeForeach = regexp.MustCompile(`\$[({]foreach +([A-Za-z_][A-Za-z0-9_]*) *, *((?:[^(){}$,]|\$\{\w+\})*),((?:[^(){}]|\$\{\w+\})*)[)}]`)

// needed are the targets that a list of what a target needs may name.
func (m *makeCall) needed(ch *chunk) (out []string) {
	for _, v := range m.expand(ch) {
		out = append(out, strings.Fields(m.listed(v.String()))...)
	}
	return out
}

// listed is a text with its lists of words made. A variable has one of its values there.
func (m *makeCall) listed(s string) string {
	for range maxCalls {
		was := s
		s = makeEach.ReplaceAllStringFunc(s, func(each string) string {
			p := makeEach.FindStringSubmatch(each)
			vals := m.lookup(p[1])
			if len(vals) == 0 {
				return ""
			}
			from, to := p[2], p[3]
			if !strings.Contains(from, "%") {
				from, to = "%"+from, "%"+to
			}
			return eachWord(vals[len(vals)-1].String(), func(w string) string { return patsubst(from, to, w) })
		})
		s = makeForeach.ReplaceAllStringFunc(s, func(call string) string {
			p := makeForeach.FindStringSubmatch(call)
			return eachWord(p[2], func(w string) string { return strings.ReplaceAll(p[3], "${"+p[1]+"}", w) })
		})
		s = makeList.ReplaceAllStringFunc(s, func(call string) string {
			p := makeList.FindStringSubmatch(call)
			args := strings.Split(p[2], ",")
			switch {
			case p[1] == "patsubst" && len(args) == 3:
				return eachWord(args[2], func(w string) string { return patsubst(strings.TrimSpace(args[0]), args[1], w) })
			case p[1] == "addprefix" && len(args) == 2:
				return eachWord(args[1], func(w string) string { return args[0] + w })
			case p[1] == "addsuffix" && len(args) == 2:
				return eachWord(args[1], func(w string) string { return w + args[0] })
			}
			return ""
		})
		if s == was {
			break
		}
	}
	return s
}

// eachWord is a list of words with something done to each.
func eachWord(list string, do func(word string) string) string {
	words := strings.Fields(list)
	for i, w := range words {
		words[i] = do(w)
	}
	return strings.Join(words, " ")
}

// patsubst is a word for which a pattern is replaced, where it fits.
func patsubst(pattern, with, word string) string {
	if stem, ok := stemOf(pattern, word); ok {
		return strings.Replace(with, "%", stem, 1)
	}
	return word
}

// stemOf is what the % of a pattern stands for in a word.
func stemOf(pattern, word string) (stem string, ok bool) {
	before, behind, ok := strings.Cut(pattern, "%")
	if !ok || len(word) < len(before)+len(behind) || !strings.HasPrefix(word, before) || !strings.HasSuffix(word, behind) {
		return "", false
	}
	return word[len(before) : len(word)-len(behind)], true
}

// eachPushes finds an image that is pushed in what the functions of make give.
var eachPushes = regexp.MustCompile(`\bpush +(?:-[^ ]+ +)*([^ ;&|)\x01\r\n]+)`)

// pushesEach reports the tags that a recipe pushes by foreach or patsubst and that move: its
// commands are followed no further.
func (m *makeCall) pushesEach(lines []span) {
	text := ""
	for _, l := range lines {
		text += l.text()
	}
	if !strings.Contains(text, "push") || !strings.Contains(text, "foreach") && !strings.Contains(text, "patsubst") {
		return
	}
	at := span{lines[0].src, lines[0].start, lines[len(lines)-1].end}
	for _, v := range m.expand(whole(at.src, at.start, at.end)) {
		for _, p := range eachPushes.FindAllStringSubmatch(m.listed(v.String()), -1) {
			name, tag, _ := strings.Cut(p[1], ":")
			if !strings.HasPrefix(name, "${CI_REGISTRY_IMAGE}") && !strings.HasPrefix(name, m.run.in.Project.OldHost) || ofOneBuild.MatchString(tag) {
				continue
			}
			m.run.report("moving-tag", span{at.src, at.start, at.start + len(strings.TrimRight(at.text(), "\r\n"))}, p[1])
		}
	}
}

// ofOneBuild is a tag that no other pipeline pushes.
var ofOneBuild = regexp.MustCompile(`\$\{CI_(COMMIT_(SHA|SHORT_SHA|TAG)|PIPELINE_I?ID|JOB_ID)\}`)
