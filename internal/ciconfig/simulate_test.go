package ciconfig

import (
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

var (
	projects  = flag.Int("simulate", 300, "how many projects TestSimulated makes up; with -seed, from there")
	firstSeed = flag.Int("seed", 0, "the first project that TestSimulated makes up")
	habits    = flag.String("habits", "", "the habits that all these projects have, and no others; - for none")
	counted   = flag.Bool("counted", false, "count what TestSimulated finds, by code and habit")
)

// TestSimulated makes projects up, runs their pipelines against a registry in which tags may be
// overwritten, rewrites them, and runs them again against one in which they may not. Each job
// has to get the same image as before, and each push to succeed, unless a finding speaks of it.
func TestSimulated(t *testing.T) {
	t.Parallel()
	blocked := 0
	counts := map[string]int{}
	for seed := *firstSeed; seed < *firstSeed+*projects; seed++ {
		m := madeUp(rand.New(rand.NewPCG(uint64(seed), 0)), *habits)
		in := input(m.project(), rule{Project: "team/shop"})
		res, err := Rewrite(in)
		if err != nil {
			t.Fatalf("seed %d: %v\n%s", seed, err, m.text())
		}
		m.count(counts, res)
		if res.Blocked() {
			blocked++
			if *counted {
				t.Logf("seed %d is blocked: %s", seed, blockers(res))
				if *projects == 1 {
					t.Logf("%s", m.text())
				}
			}
			continue
		}
		after := maps.Clone(m.files)
		for _, e := range res.Edits {
			after[e.Path] = string(e.After)
		}
		old := simulate(t, m.files, m.text(), "registry.uninett.no/team/shop", false)
		now := simulate(t, after, m.text(), "ecr.example.org/team/shop", true)
		for _, why := range compared(old, now, res, m.has["open"] || m.has["folders"]) {
			t.Errorf("seed %d (%s): %s\n%s\nbecame\n%s\nfindings: %v", seed, strings.Join(m.habits(), " "), why, m.text(), changedText(res), res.Findings)
			break
		}
	}
	if *counted {
		for _, k := range slices.Sorted(maps.Keys(counts)) {
			t.Logf("%6d %s", counts[k], k)
		}
	}
	if blocked > *projects/10 && *habits == "" {
		t.Errorf("%d of %d projects are blocked: the test is not worth much", blocked, *projects)
	}
}

// blockers are the findings that block a project.
func blockers(res *Result) (out string) {
	for _, f := range res.Findings {
		if f.Severity == Blocking {
			out += fmt.Sprintf("%s %s:%d %s; ", f.Code, f.File, f.Line, f.Text)
		}
	}
	return out
}

func changedText(res *Result) (out string) {
	for _, e := range res.Edits {
		out += "-- " + e.Path + " --\n" + string(e.After)
	}
	return out
}

// count counts a project's findings, and what blocks it, under each of its habits.
func (m *maker) count(counts map[string]int, res *Result) {
	seen := map[string]bool{}
	for _, f := range res.Findings {
		seen[fmt.Sprintf("%s %s", f.Severity, f.Code)] = true
	}
	for _, h := range append(m.habits(), "all") {
		counts[h]++
		for s := range seen {
			counts[h+" "+s]++
		}
	}
}

// compared are the differences that no finding speaks of. Where names are open, nobody can tell
// that two jobs push one tag.
func compared(old, now *simulator, res *Result, open bool) (out []string) {
	warns := func(ref string, code Code) bool { return warned(res, repository(ref)+":", code) }
	tells := func(ref string, codes ...Code) bool {
		name := oldName(ref)
		if !strings.HasSuffix(name, ":") {
			name = repository(name) + ":"
		}
		return open && old.twice[name] || slices.ContainsFunc(res.Findings, func(f Finding) bool {
			return slices.Contains(codes, f.Code) && (strings.Contains(f.Detail+f.Message, name) || ofAny(f.Detail+f.Message))
		})
	}
	left := func(ref string) bool { return strings.HasPrefix(ref, "registry.uninett.no/") } // as it was
	builtTwice := func(ref string) bool {                                                   // and one of them is said to be taken now
		return slices.ContainsFunc(res.Findings, func(f Finding) bool {
			return f.Code == "tag-replaced" && strings.Contains(f.Message, " build it in one pipeline") && strings.Contains(f.Detail+f.Message, repository(ref)+":")
		})
	}
	refused := func(job place) bool { // what comes behind a refused push may be run no more
		return slices.ContainsFunc(now.faults, func(f fault) bool { return f.place == job && f.what == "pushed again" })
	}
	missing := func(image string) bool { // who builds or promotes it could not push it
		return refused(old.pusher[image]) || refused(old.first[image])
	}
	unbuilt := func(f fault) bool { // its pipeline could not push it
		if f.what != "not there" {
			return false
		}
		for image, ref := range old.pushed {
			if by := old.first[image]; by.pipeline == f.pipeline && refused(by) && strings.HasPrefix(oldName(f.ref), repository(ref)+":") {
				return true
			}
		}
		return false
	}
	for job, uses := range old.uses {
		for i, u := range uses {
			switch after := now.uses[job]; {
			case u.image == "":
			case i >= len(after):
				if !tells(u.ref, "job-dropped") && !refused(job) && !missing(u.image) {
					out = append(out, fmt.Sprintf("%v does not use %s any more", job, u.ref))
				}
			case after[i].image != u.image && !missing(u.image) && !tells(u.ref, "moving-tag", "expires", "pushed-again") && !warns(u.ref, "tag-dropped") && !builtTwice(u.ref) && !(left(after[i].ref) && tells(u.ref, "literal-in-file")):
				out = append(out, fmt.Sprintf("%v used %s, built by %q, and uses %s, built by %q", job, u.ref, u.image, after[i].ref, after[i].image))
			}
		}
	}
	for job, said := range old.says {
		notRun := slices.ContainsFunc(old.uses[job], func(u event) bool { return missing(u.image) })
		if again := now.says[job]; !slices.Equal(said, again) && !refused(job) && !notRun && !slices.ContainsFunc(res.Findings, func(f Finding) bool {
			return slices.Contains([]Code{"tag-handed-on", "job-dropped", "tag-replaced", "moving-tag"}, f.Code)
		}) {
			out = append(out, fmt.Sprintf("%v said %q, and says %q", job, said, again))
		}
	}
	for image, ref := range old.pushed {
		if now.pushed[image] == "" && !missing(image) && !strings.HasPrefix(image, "cache of ") && !tells(ref, "job-dropped", "moving-tag", "pushed-again", "tag-dropped", "tag-computed") {
			out = append(out, fmt.Sprintf("%q, pushed as %s, is pushed no more", image, ref))
		}
	}
	for _, f := range now.faults {
		if !old.ran[f.place] || slices.ContainsFunc(old.faults, func(g fault) bool { return g.place == f.place && (g.what == f.what || g.what == "invalid") }) {
			continue
		}
		name := f.ref
		replacedForTags := slices.ContainsFunc(res.Findings, func(g Finding) bool {
			return g.Code == "tag-replaced" && strings.Contains(g.Message, "git tag") && strings.Contains(g.Message, oldName(name))
		})
		cache := strings.HasSuffix(name, "cache") && tells(name, "registry-cache")
		if !cache && !replacedForTags && !unbuilt(f) && !tells(name, "moving-tag", "pushed-again", "tag-computed", "tag-collision", "expires") && !(f.what == "own job image" && tells(name, "uses-disagree", "tag-elsewhere")) {
			out = append(out, fmt.Sprintf("%s in pipeline %s: %s %s", f.job, f.pipeline, f.what, f.ref))
		}
	}
	return out
}

// warned says whether a finding of a code asks somebody to look at an image.
func warned(res *Result, name string, code Code) bool {
	return slices.ContainsFunc(res.Findings, func(f Finding) bool {
		return f.Code == code && f.Severity == Warning && (strings.Contains(f.Detail+f.Message, name) || ofAny(f.Detail+f.Message))
	})
}

// ofAny says whether a text names an image whose name the rewriter does not know, or only the
// job: it may be any.
func ofAny(text string) bool {
	return strings.Contains(text, "registry.uninett.no/team/shop/$(…):") || strings.Contains(text, "registry.uninett.no/team/shop/${CI_JOB_NAME}:")
}

// oldName is the repository of an image before the rewrite, with its colon.
func oldName(ref string) string {
	_, tag, ok := strings.Cut(ref, "ecr.example.org/team/shop:")
	if !ok {
		return strings.Replace(ref, "ecr.example.org", "registry.uninett.no", 1)
	}
	if name, _, _ := strings.Cut(tag, "-"); slices.Contains(madeNames, name) || slices.Contains(folderNames, name) || slices.Contains([]string{"shop", "cart", "mail", "base"}, name) {
		return "registry.uninett.no/team/shop/" + name + ":"
	}
	return "registry.uninett.no/team/shop:"
}
