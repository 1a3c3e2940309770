package copy

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/bmatcuk/doublestar/v4"
)

// Policy chooses which tags are worth copying. What is in use always is; an
// all-zero Policy means DefaultPolicy.
type Policy struct {
	All    bool `json:"all,omitempty"`
	InUse  bool `json:"in_use,omitempty"` // says that InUse alone is meant, if nothing else is set
	Newest int  `json:"newest,omitempty"` // images of each image name, by the time they were built
	// Include and Exclude are glob patterns. One with a colon is matched with
	// repository:tag, any other with the tag alone. Exclude wins.
	Include []string `json:"include,omitempty"`
	Exclude []string `json:"exclude,omitempty"`
	// MaxAge leaves out what was built longer ago. Images that do not say when
	// they were built stay.
	MaxAge time.Duration `json:"max_age,omitempty"`
}

// DefaultPolicy is what is in use and the newest 10 of each image name: ECR
// soon drops what the PaaS does not use, so older history is not worth moving.
func DefaultPolicy() Policy { return Policy{InUse: true, Newest: 10} }

// ParsePolicy reads a policy such as "in-use,newest=10,exclude=*-debug". The
// terms are all, in-use, newest=N, include=GLOB, exclude=GLOB (both may be
// repeated) and max-age=DURATION, in days (90d) or as Go writes durations.
func ParsePolicy(s string) (Policy, error) {
	if strings.TrimSpace(s) == "" {
		return DefaultPolicy(), nil
	}
	var p Policy
	for term := range strings.SplitSeq(s, ",") {
		key, value, _ := strings.Cut(strings.TrimSpace(term), "=")
		var err error
		switch key {
		case "all":
			p.All = true
		case "in-use":
			p.InUse = true
		case "newest":
			if p.Newest, err = strconv.Atoi(value); err != nil || p.Newest < 1 {
				return Policy{}, fmt.Errorf("policy %q: newest needs a number above 0", s)
			}
		case "include", "exclude":
			if value == "" || !doublestar.ValidatePattern(value) {
				return Policy{}, fmt.Errorf("policy %q: %q is not a pattern", s, value)
			}
			if key == "include" {
				p.Include = append(p.Include, value)
			} else {
				p.Exclude = append(p.Exclude, value)
			}
		case "max-age":
			if p.MaxAge, err = parseAge(value); err != nil {
				return Policy{}, fmt.Errorf("policy %q: max-age needs a duration such as 90d", s)
			}
		default:
			return Policy{}, fmt.Errorf("policy %q: unknown term %q; known are all, in-use, newest=N, include=GLOB, exclude=GLOB, max-age=90d", s, term)
		}
	}
	if !p.All && !p.InUse && p.Newest == 0 {
		d := DefaultPolicy()
		p.InUse, p.Newest = d.InUse, d.Newest
	}
	return p, nil
}

func parseAge(s string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(s, "d"); ok {
		n, err := strconv.Atoi(days)
		if err != nil || n < 1 {
			return 0, fmt.Errorf("%q is not a number of days", s)
		}
		return time.Duration(n) * 24 * time.Hour, nil
	}
	d, err := time.ParseDuration(s)
	if err == nil && d <= 0 {
		err = fmt.Errorf("%q is not positive", s)
	}
	return d, err
}

// String writes the policy as ParsePolicy reads it.
func (p Policy) String() string {
	p = p.orDefault()
	var terms []string
	if p.All {
		terms = append(terms, "all")
	}
	if p.InUse {
		terms = append(terms, "in-use")
	}
	if p.Newest > 0 {
		terms = append(terms, "newest="+strconv.Itoa(p.Newest))
	}
	for _, g := range p.Include {
		terms = append(terms, "include="+g)
	}
	for _, g := range p.Exclude {
		terms = append(terms, "exclude="+g)
	}
	if p.MaxAge > 0 {
		terms = append(terms, "max-age="+p.MaxAge.String())
	}
	return strings.Join(terms, ",")
}

func (p Policy) orDefault() Policy {
	if !p.All && !p.InUse && p.Newest == 0 {
		d := DefaultPolicy()
		p.InUse, p.Newest = d.InUse, d.Newest
	}
	return p
}

// refuses returns why the patterns leave a tag out, or "".
func (p Policy) refuses(repository, tag string) string {
	for _, g := range p.Exclude {
		if match(g, repository, tag) {
			return "excluded by the pattern " + g
		}
	}
	if len(p.Include) == 0 {
		return ""
	}
	for _, g := range p.Include {
		if match(g, repository, tag) {
			return ""
		}
	}
	return "matches none of the patterns to include"
}

func match(pattern, repository, tag string) bool {
	subject := tag
	if strings.Contains(pattern, ":") {
		subject = repository + ":" + tag
	}
	ok, _ := doublestar.Match(pattern, subject)
	return ok
}
