package naming

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// Few letters, so that names, tags and digests meet often.
var (
	names   = rapid.StringMatching(`([abX]([-/_.][abX])?){0,3}`)
	tags    = rapid.OneOf(rapid.StringMatching(`[abX._-]{1,4}`), rapid.StringMatching(`sha256-[01]{64}(\.sig)?`), rapid.StringMatching(`[a-z]{120,130}`), rapid.String())
	digests = rapid.SampledFrom([]string{"sha256:a", "sha256:b", ""})
	entry   = rapid.Custom(func(t *rapid.T) Entry {
		return Entry{Repository: "g/p", Name: names.Draw(t, "name"), Tag: tags.Draw(t, "tag"), Digest: digests.Draw(t, "digest")}
	})
)

func TestTwoDigestsNeverShareATagUnreported(t *testing.T) {
	// Not parallel: rapid generators that are package variables are not safe for
	// several tests at once.
	rapid.Check(t, func(t *rapid.T) {
		entries := rapid.SliceOfN(entry, 0, 12).Draw(t, "entries")
		assigned := Assign(entries)
		if len(assigned) != len(entries) {
			t.Fatalf("%d assignments for %d entries", len(assigned), len(entries))
		}
		held := make(map[string]string)
		for i, a := range assigned {
			if a.Entry != entries[i] {
				t.Fatalf("assignment %d is of another entry", i)
			}
			if a.Problem != "" {
				continue
			}
			if other, ok := held[a.Target]; ok && (other != a.Digest || a.Digest == "") {
				t.Fatalf("%s holds %q and %q", a.Target, other, a.Digest)
			}
			held[a.Target] = a.Digest
		}
		for _, a := range assigned {
			// Whatever was refused for its neighbours must leave its tag free.
			if _, ok := held[a.Target]; ok && a.Problem == Collision {
				t.Fatalf("%s is a collision for one entry and free for another", a.Target)
			}
			if (a.Problem == Collision) != (len(a.Others) > 0) {
				t.Fatalf("problem %q with %d others", a.Problem, len(a.Others))
			}
		}
	})
}

func TestTagStaysLegal(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := entry.Draw(t, "entry")
		checkTag(t.Fatalf, e.Name, e.Tag)
	})
}

// checkTag fails if a tag given as good is not one, or has lost its end.
func checkTag(fail func(string, ...any), name, tag string) {
	got, err := Tag(name, tag)
	if err != nil {
		return
	}
	if len(got) == 0 || len(got) > MaxTag {
		fail("Tag(%q, %q) has %d characters", name, tag, len(got))
	}
	for i, c := range []byte(got) {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_'
		if !letter && (i == 0 || c != '.' && c != '-') {
			fail("Tag(%q, %q) = %q has %q at %d", name, tag, got, c, i)
		}
	}
	if !strings.HasSuffix(got, tag) {
		fail("Tag(%q, %q) = %q does not end with the tag", name, tag, got)
	}
}

func TestLongestProjectWins(t *testing.T) {
	path := rapid.StringMatching(`[ab](-[ab])?/[ab](-[ab])?(/[ab])?`)
	rapid.Check(t, func(t *rapid.T) {
		projects := rapid.SliceOfNDistinct(path, 1, 8, rapid.ID[string]).Draw(t, "projects")
		repository := rapid.SampledFrom(projects).Draw(t, "base") + rapid.StringMatching(`([-/][ab]){0,3}`).Draw(t, "rest")

		// The rule said again, as slowly as it is simple.
		longest := ""
		for _, p := range projects {
			inside := repository == p || strings.HasPrefix(repository, p+"/") || strings.HasPrefix(repository, p+"-")
			if inside && len(p) > len(longest) {
				longest = p
			}
		}
		got := NewOwners(projects, nil).Of(repository)
		switch got.Kind {
		case Owned:
			if got.Project != longest {
				t.Fatalf("%s belongs to %s, want %s of %v", repository, got.Project, longest, projects)
			}
			if rebuilt := []string{longest, longest + "/" + got.Name, longest + "-" + got.Name}; !contains(rebuilt, repository) {
				t.Fatalf("name %q of %s cannot be put together again", got.Name, repository)
			}
		case Ambiguous:
			if !contains(got.Candidates, longest) {
				t.Fatalf("%s: candidates %v leave out %s", repository, got.Candidates, longest)
			}
		default:
			t.Fatalf("%s belongs to %s, but was given to %s", repository, longest, got.Kind)
		}
	})
}

func contains(list []string, s string) bool {
	for _, l := range list {
		if l == s {
			return true
		}
	}
	return false
}

func FuzzTag(f *testing.F) {
	f.Add("services/api", "1.2.3")
	f.Add("", "sha256-"+strings.Repeat("0", 64)+".sig")
	f.Add("-", "-")
	f.Fuzz(func(t *testing.T, name, tag string) { checkTag(t.Fatalf, name, tag) })
}

func FuzzParseReference(f *testing.F) {
	f.Add("registry.uninett.no/group/project-api:1.2.3")
	f.Add("a@sha256:" + strings.Repeat("0", 64))
	f.Fuzz(func(t *testing.T, s string) {
		r, err := ParseReference(s)
		if err == nil && r.String() != s {
			t.Fatalf("%q became %q", s, r.String())
		}
	})
}
