package ci

import (
	"errors"
	"regexp"
	"slices"
	"strings"
)

// The expression language of rules:if, workflow and only:variables
// (https://docs.gitlab.com/ci/jobs/job_rules/#cicd-variable-expressions).
//
// Two of its habits surprise: && and || are Ruby's, to which an empty string is
// true, so `$EMPTY && $SET` holds; and variables are compared as written,
// without expanding what their values name.

var errSyntax = errors.New("Invalid expression syntax") //nolint:staticcheck // GitLab's words

// maxTokens is GitLab's limit for one expression.
const maxTokens = 100

var lexeme = regexp.MustCompile(`^(?:` +
	`(?P<open>\()|(?P<close>\))|` +
	`\$(?P<variable>\w+)|` +
	`\$\[\[\s*(?P<input>inputs\.[\w-]+)\s*\]\]|` +
	`"(?P<double>[^"\n]*)"|'(?P<single>[^'\n]*)'|` +
	`(?P<pattern>/(?:[^/\\\n]|\\.)+/[ismU]*)|` +
	`(?P<word>(?:null|true|false)\b)|` +
	`(?P<operator>==|=~|!=|!~|&&|\|\|))`)

var lexemeNames = lexeme.SubexpNames()

type token struct{ kind, text string }

func tokens(s string) ([]token, error) {
	var out []token
	for {
		s = strings.TrimLeft(s, " \t\r\n\v\f")
		if s == "" {
			return out, nil
		}
		m := lexeme.FindStringSubmatchIndex(s)
		if m == nil || len(out) == maxTokens {
			return nil, errSyntax
		}
		for i := 1; i < len(lexemeNames); i++ {
			if m[2*i] >= 0 {
				out = append(out, token{lexemeNames[i], s[m[2*i]:m[2*i+1]]})
			}
		}
		s = s[m[1]:]
	}
}

// expression is a parsed expression; its value is nil, a bool, a string or a
// *pattern.
type expression interface {
	eval(variables map[string]string) any
}

type (
	constant struct{ value any }
	variable struct{ name string }
	operator struct {
		op          string
		left, right expression
	}
)

func (e constant) eval(map[string]string) any { return e.value }

func (e variable) eval(vars map[string]string) any {
	if v, ok := vars[e.name]; ok {
		return v
	}
	return nil
}

func (e operator) eval(vars map[string]string) any {
	left := e.left.eval(vars)
	switch e.op {
	case "&&":
		if left == nil || left == false {
			return left
		}
		return e.right.eval(vars)
	case "||":
		if left != nil && left != false {
			return left
		}
		return e.right.eval(vars)
	}
	right := e.right.eval(vars)
	switch e.op {
	case "==":
		return equal(left, right)
	case "!=":
		return !equal(left, right)
	case "=~":
		return right != nil && matches(left, right)
	default: // !~
		return right == nil || !matches(left, right)
	}
}

func equal(a, b any) bool {
	if p, ok := a.(*pattern); ok {
		a = p.source
	}
	if p, ok := b.(*pattern); ok {
		b = p.source
	}
	return a == b
}

// matches holds a value against a pattern. A variable's value that is written
// as a pattern is one; any other text is searched for the value, as in GitLab.
func matches(left, right any) bool {
	s, _ := left.(string)
	switch r := right.(type) {
	case *pattern:
		return r.match(s)
	case string:
		if p, err := newPattern(r); err == nil {
			return p.match(s)
		}
		return strings.Contains(r, s)
	}
	return false
}

// parse reads an expression; every fault is errSyntax.
func parse(s string) (expression, error) {
	toks, err := tokens(s)
	if err != nil {
		return nil, err
	}
	p := &parser{tokens: toks}
	e := p.binary(0)
	if p.failed || p.at != len(toks) {
		return nil, errSyntax
	}
	return e, nil
}

type parser struct {
	tokens []token
	at     int
	failed bool
}

// levels lists the operators, weakest first.
var levels = [][]string{{"||"}, {"&&"}, {"==", "!=", "=~", "!~"}}

func (p *parser) binary(level int) expression {
	if level == len(levels) {
		return p.operand()
	}
	left := p.binary(level + 1)
	for !p.failed && p.at < len(p.tokens) {
		t := p.tokens[p.at]
		if t.kind != "operator" || !slices.Contains(levels[level], t.text) {
			break
		}
		p.at++
		left = operator{t.text, left, p.binary(level + 1)}
	}
	return left
}

func (p *parser) operand() expression {
	if p.at >= len(p.tokens) {
		p.failed = true
		return constant{}
	}
	t := p.tokens[p.at]
	p.at++
	switch t.kind {
	case "open":
		e := p.binary(0)
		if p.at >= len(p.tokens) || p.tokens[p.at].kind != "close" {
			p.failed = true
			return constant{}
		}
		p.at++
		return e
	case "variable", "input":
		return variable{t.text}
	case "double", "single":
		return constant{t.text}
	case "pattern":
		re, err := newPattern(t.text)
		if err != nil {
			break
		}
		return constant{re}
	case "word":
		switch t.text {
		case "true":
			return constant{true}
		case "false":
			return constant{false}
		}
		return constant{}
	}
	p.failed = true
	return constant{}
}

// truthful is whether an expression holds: its value is present in Ruby's sense.
func truthful(e expression, vars map[string]string) bool {
	return !blank(e.eval(vars))
}

// pattern is a regular expression written /…/flags, with RE2's syntax.
type pattern struct {
	source string
	re     *regexp.Regexp
}

var patternForm = regexp.MustCompile(`(?s)^/(.+)/([ismU]*)$`)

func newPattern(s string) (*pattern, error) {
	m := patternForm.FindStringSubmatch(s)
	if m == nil {
		return nil, errSyntax
	}
	source := strings.ReplaceAll(m[1], `\/`, `/`)
	if m[2] != "" {
		source = "(?" + m[2] + ")" + source
	}
	re, err := regexp.Compile(source)
	if err != nil {
		return nil, errSyntax
	}
	return &pattern{s, re}, nil
}

func (p *pattern) match(s string) bool { return p.re.MatchString(s) }
