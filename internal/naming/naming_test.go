package naming

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var hex64 = strings.Repeat("0123456789abcdef", 4)

func TestTag(t *testing.T) {
	t.Parallel()
	tests := []struct {
		label, name, tag, want string
		problem                Problem
	}{
		{"root keeps its tag", "", "1.2.3", "1.2.3", ""},
		{"suffix", "api", "1.2.3", "api-1.2.3", ""},
		{"slashes", "services/api", "main-1", "services-api-main-1", ""},
		{"upper case in the tag stays", "API", "V1", "api-V1", ""},
		{"underscore and dot stay", "my_api.v2", "x", "my_api.v2-x", ""},
		{"leading separator", "/api", "x", "api-x", ""},
		{"signature keeps its name", "api", "sha256-" + hex64 + ".sig", "sha256-" + hex64 + ".sig", ""},
		{"referrers list keeps its name", "api", "sha256-" + hex64, "sha256-" + hex64, ""},
		{"almost a signature", "api", "sha256-" + hex64[1:] + ".sig", "api-sha256-" + hex64[1:] + ".sig", ""},
		{"exactly long enough", "api", strings.Repeat("x", 124), "api-" + strings.Repeat("x", 124), ""},
		{"too long", "api", strings.Repeat("x", 125), "api-" + strings.Repeat("x", 125), TooLong},
		{"plus", "api", "1+2", "api-1+2", Charset},
		{"root with a leading dash", "", "-x", "-x", Charset},
		{"no tag", "api", "", "api-", Charset},
		{"final newline", "api", "x\n", "api-x\n", Charset},
	}
	for _, tt := range tests {
		t.Run(tt.label, func(t *testing.T) {
			t.Parallel()
			got, err := Tag(tt.name, tt.tag)
			if got != tt.want {
				t.Errorf("Tag(%q, %q) = %q, want %q", tt.name, tt.tag, got, tt.want)
			}
			var problem Problem
			if bad, ok := errors.AsType[*TagError](err); ok {
				problem = bad.Problem
			}
			if problem != tt.problem {
				t.Errorf("problem = %q, want %q", problem, tt.problem)
			}
		})
	}
}

func TestOwners(t *testing.T) {
	t.Parallel()
	owners := NewOwners([]string{
		"group/project", "group/project-api", "group/app", "group/app-x/other", "Team/Mixed", "new/moved", "old/taken",
	}, map[string]string{
		"public/kart": "group/app", "old/moved": "new/moved", "old/taken": "new/moved",
	})
	tests := []struct {
		repository string
		want       Ownership
	}{
		{"group/project", Ownership{Kind: Owned, Project: "group/project"}},
		{"group/project-api", Ownership{Kind: Owned, Project: "group/project-api"}},
		{"group/project-api-v2", Ownership{Kind: Owned, Project: "group/project-api", Name: "v2"}},
		{"group/project-api/x/y", Ownership{Kind: Owned, Project: "group/project-api", Name: "x/y"}},
		{"group/project-web", Ownership{Kind: Owned, Project: "group/project", Name: "web"}},
		{"group/project/web-admin", Ownership{Kind: Owned, Project: "group/project", Name: "web-admin"}},
		{"group/project--web", Ownership{Kind: Owned, Project: "group/project", Name: "web"}},
		{"group/projectile", Ownership{Kind: Nobody}},
		{"group/project_web", Ownership{Kind: Nobody}},
		{"group", Ownership{Kind: Nobody}},
		{"", Ownership{Kind: Nobody}},
		{"team/mixed/ui", Ownership{Kind: Owned, Project: "Team/Mixed", Name: "ui"}},
		{"public/kart-tiles", Ownership{Kind: Owned, Project: "group/app", Name: "tiles"}},
		{"old/moved/api", Ownership{Kind: Owned, Project: "new/moved", Name: "api"}},
		{"old/taken-api", Ownership{Kind: Ambiguous, Candidates: []string{"new/moved", "old/taken"}}},
		{"group/app-x/tool", Ownership{Kind: Ambiguous, Candidates: []string{"group/app", "group/app-x/tool"}}},
		{"group/app-x/other", Ownership{Kind: Owned, Project: "group/app-x/other"}},
		{"group/app-y/tool", Ownership{Kind: Owned, Project: "group/app", Name: "y/tool"}},
	}
	for _, tt := range tests {
		if diff := cmp.Diff(tt.want, owners.Of(tt.repository)); diff != "" {
			t.Errorf("Of(%q): -want +got\n%s", tt.repository, diff)
		}
	}
}

func TestAssign(t *testing.T) {
	t.Parallel()
	root := Entry{"g/p", "", "api-1", "sha256:a"}
	api := Entry{"g/p-api", "api", "1", "sha256:b"}
	again := Entry{"g/p/api", "api", "1", "sha256:b"}
	fine := Entry{"g/p/api", "api", "2", "sha256:b"}
	long := Entry{"g/p/api", "api", strings.Repeat("x", 128), "sha256:b"}
	want := []Assignment{
		{Entry: root, Target: "api-1", Problem: Collision, Others: []Entry{api, again}},
		{Entry: api, Target: "api-1", Problem: Collision, Others: []Entry{root}},
		{Entry: again, Target: "api-1", Problem: Collision, Others: []Entry{root}},
		{Entry: fine, Target: "api-2"},
		{Entry: long, Target: "api-" + long.Tag, Problem: TooLong},
	}
	if diff := cmp.Diff(want, Assign([]Entry{root, api, again, fine, long})); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	if got := Assign([]Entry{api, again}); got[0].Problem != "" || got[1].Problem != "" {
		t.Errorf("the same digest twice is a problem: %v", got)
	}
}

func TestRepositoryName(t *testing.T) {
	t.Parallel()
	tests := map[string]string{
		"group/project":          "group/project",
		"Group/My.Project":       "group/my.project",
		"group/_hidden":          "group/hidden",
		"group/a.-b":             "group/a-b",
		"group/a___b":            "group/a-b",
		"group/a__b--c":          "group/a__b--c",
		"group/...":              "",
		"x":                      "",
		"group//project":         "",
		strings.Repeat("a", 257): "",
	}
	for path, want := range tests {
		got, err := RepositoryName(path)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("RepositoryName(%q) = %q, %v, want %q", path, got, err, want)
		}
	}
}

func TestParseReference(t *testing.T) {
	t.Parallel()
	digest := "sha256:" + hex64
	tests := map[string]Reference{
		"registry.uninett.no/g/p-api:1.2": {"registry.uninett.no", "g/p-api", "1.2", ""},
		"registry.uninett.no:5000/g/p":    {"registry.uninett.no:5000", "g/p", "", ""},
		"localhost/p:x@" + digest:         {"localhost", "p", "x", digest},
		"alpine":                          {"", "alpine", "", ""},
		"library/alpine:3":                {"", "library/alpine", "3", ""},
		"127.0.0.1:4711/g/p@" + digest:    {"127.0.0.1:4711", "g/p", "", digest},
		"[::1]:80/p:1":                    {"[::1]:80", "p", "1", ""},
	}
	for s, want := range tests {
		got, err := ParseReference(s)
		if err != nil || got != want {
			t.Errorf("ParseReference(%q) = %+v, %v, want %+v", s, got, err, want)
		}
		if got.String() != s {
			t.Errorf("String() = %q, want %q", got.String(), s)
		}
	}
	for _, s := range []string{"", "$CI_REGISTRY_IMAGE:x", "Host.no/Upper", "a.b/c:", "a.b/c@sha256:1", "a.b/", "a.b/c:x:y", "https://a.b/c", "a b"} {
		if got, err := ParseReference(s); err == nil {
			t.Errorf("ParseReference(%q) = %+v, want an error", s, got)
		}
	}
}

func TestSubject(t *testing.T) {
	t.Parallel()
	if got, ok := Subject("sha256-" + hex64 + ".att"); !ok || got != "sha256:"+hex64 {
		t.Errorf("Subject = %q, %v", got, ok)
	}
	if got, ok := Subject("sha512-" + hex64); ok {
		t.Errorf("Subject of half a digest = %q", got)
	}
}
