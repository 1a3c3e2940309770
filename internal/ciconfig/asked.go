package ciconfig

import (
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// A script may ask what pipeline it is in, as the rules of its job may:
//
//	if [ "$CI_COMMIT_BRANCH" = main ]; then docker push $B:latest; fi

// comesTo says whether a pipeline may come to a use in its script. Only what is certain keeps
// it away.
func (p Project) comesTo(u *use) bool {
	return !slices.ContainsFunc(u.arms, func(a arm) bool { return p.takes(a) == no })
}

// gives says whether a pipeline may give a use its value, where that is a rule's, or one of a
// script that asks for the kind of pipeline. Only what is certain keeps it away.
func (p Project) gives(u *use) bool {
	if u.job != nil && u.job.in != nil && u.job.in.trigger != nil {
		return true // of whose pipeline the rules may ask
	}
	for i := u.ref.start; i < u.ref.end; i++ {
		if i > u.ref.start && u.ref.f.piece[i] == u.ref.f.piece[i-1] {
			continue
		}
		from := &u.ref.f.t[u.ref.f.piece[i]]
		if by := from.by; by != nil && by.byRule() && !p.chooses(by) {
			return false
		}
		if w := from.when; w != nil && slices.ContainsFunc(w.arms, func(a arm) bool { return p.takes(a) == no }) {
			return false
		}
	}
	return true
}

// chooses says whether a pipeline may come to the rule of a value, or to another with the same:
// none before it lets the job, or the pipeline, in.
func (p Project) chooses(by *choice) bool {
	list, _ := by.among.(*yaml.Node)
	found := false
	for _, n := range items(list) {
		n = deref(n)
		if n == nil || n.Kind != yaml.MappingNode {
			return true
		}
		holds := yes
		if c := child(n, "if"); c != nil {
			holds = p.condition(c.Value)
		}
		same := by.is(n) || by.value != nil && value(deref(child(child(n, "variables"), by.name))) == by.value.Value
		found = found || same
		switch plain := child(n, "changes") == nil && child(n, "exists") == nil; {
		case same && holds != no:
			return true
		case holds == yes && plain:
			return false
		}
	}
	return !found
}

// judged is what is known of conditions, which are asked for again and again: those of
// scripts as rules, and whether the rules hold in a kind of pipeline.
type judged struct {
	rules map[string]string
	holds map[question]answer
}

// question is a condition of a rule in a kind of pipeline.
type question struct {
	source, branch, tag string
	open, all           bool
	expr                string
}

func newJudged() *judged {
	return &judged{map[string]string{}, map[question]answer{}}
}

// rule is a condition of a script as a rule.
func (c *judged) rule(cond string) string {
	if c == nil {
		return ruleOf(cond)
	}
	rule, ok := c.rules[cond]
	if !ok {
		rule = ruleOf(cond)
		c.rules[cond] = rule
	}
	return rule
}

// takes says whether a pipeline takes one of the branches of a script.
func (p Project) takes(a arm) answer {
	cond, fails := strings.CutSuffix(a.asked, "||")
	cond = strings.TrimSpace(strings.TrimSuffix(cond, "&&"))
	if not, ok := strings.CutPrefix(cond, "! "); ok && !strings.Contains(not, "&&") && !strings.Contains(not, "||") {
		cond, fails = not, !fails
	}
	if !strings.Contains(cond, "$") {
		return maybe
	}
	holds := p.condition(p.known.rule(cond))
	if fails && holds != maybe {
		return yes.and(holds == no)
	}
	return holds
}

// shellTest is a comparison of [, [[ or test, or one of several in one pair of brackets.
var shellTest = regexp.MustCompile(`^(?:\[\[?\s+|test\s+)?(?:-([nz])\s+(\S+)|(\S+)\s+(==?|!=)\s+(\S+))(?:\s+\]\]?)?$`)

// oneVariable is a word that is one variable, empty where that is not set.
var oneVariable = regexp.MustCompile(`^\$(?:(\w+)|\{(\w+)(?::?-)?\})$`)

// ruleOf writes a condition of the shell as one of GitLab's rules.
func ruleOf(cond string) string {
	either := alternatives(cond, "||")
	for i, e := range either {
		all := alternatives(e, "&&")
		for k, term := range all {
			all[k] = ruleTerm(strings.TrimSpace(term))
		}
		either[i] = strings.Join(all, " && ")
	}
	return strings.Join(either, " || ")
}

func ruleTerm(term string) string {
	const open = "$\x00" // a variable that nobody knows
	m := shellTest.FindStringSubmatch(term)
	if m == nil {
		return open
	}
	word := func(s string) (text string, variable bool) {
		s = strings.Trim(s, `"'`)
		if v := oneVariable.FindStringSubmatch(s); v != nil {
			return "$" + v[1] + v[2], true
		}
		if strings.ContainsAny(s, "$*?[`") {
			return open, false
		}
		return `"` + s + `"`, false
	}
	left, isVariable := word(m[2] + m[3])
	switch {
	case m[1] != "" && !isVariable:
		return open
	case m[1] == "n":
		return left
	case m[1] == "z":
		return left + " == null"
	}
	right, also := word(m[5])
	if !isVariable {
		left, right = right, left
	}
	if !isVariable && !also || left == open || right == open {
		return open
	}
	return left + " " + strings.Replace(m[4]+"=", "===", "==", 1)[:2] + " " + right
}
