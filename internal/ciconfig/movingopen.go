package ciconfig

import (
	"regexp"
	"slices"
	"strings"
)

// joinOpen puts uses of an image under a tag that moves to the pushes under a name that may
// be the same, as one of them holds a variable: a loop pushes what lies in services/, and a
// deployment has services/web by its name. What becomes of the tag is one decision for both,
// and of several pushes that a use may mean, for all.
func joinOpen(groups map[string]*movings) {
	open := openNames(groups)
	if len(open) == 0 || len(open)*len(groups) > maxOpen {
		return
	}
	keys := sortedKeys(groups)
	for _, key := range keys {
		g := groups[key]
		if len(g.pushes) > 0 || !slices.ContainsFunc(g.all, func(u *use) bool { return u.inPipeline() || u.filled }) {
			continue
		}
		var joined bool
		for _, other := range keys {
			to := groups[other]
			if to == g || to.tag != g.tag || len(to.pushes) == 0 || !fits(open[g], to.name) && !fits(open[to], g.name) {
				continue
			}
			to.all = append(to.all, g.all...)
			joined = true
		}
		if joined {
			g.all = nil
		}
	}
}

// openNames are the groups whose names hold a variable, with what they may be.
func openNames(groups map[string]*movings) map[*movings]*regexp.Regexp {
	open := map[*movings]*regexp.Regexp{}
	for _, g := range groups {
		if may := mayBeNamed(g.name); may != nil {
			open[g] = may
		}
	}
	return open
}

// maxOpen bounds the pairs of names that are compared, each with an expression of its own. In
// a project with more of them each name is taken for itself.
const maxOpen = 10_000

// mayBeSame says whether two names are the same for some values of the variables in them.
func mayBeSame(a, b string) bool {
	return a == b || strings.Contains(a+b, "$") && (fits(mayBeNamed(a), b) || fits(mayBeNamed(b), a))
}

// fits says whether a name is one that another may be.
func fits(may *regexp.Regexp, name string) bool { return may != nil && may.MatchString(name) }
