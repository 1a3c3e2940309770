package ci

import (
	"strings"
	"testing"
)

func TestExpand(t *testing.T) {
	t.Parallel()
	vars := []Variable{
		{Key: "CI_PROJECT_DIR", Value: "/builds/g/p"},
		{Key: "A", Value: "a"},
		{Key: "B", Value: "$A-b"},
		{Key: "C", Value: "${B}/c"},
		{Key: "RAW", Value: "$A!", Raw: true},
		{Key: "OVER_RAW", Value: "<$RAW>"},
		{Key: "FILE", Value: "content $A", File: true},
		{Key: "OVER_FILE", Value: "at $FILE"},
		{Key: "SELF", Value: "x:$SELF"},
		{Key: "OVER_SELF", Value: "[$SELF]"},
		{Key: "PRICE", Value: "5$$A"},
		{Key: "OVER_PRICE", Value: "$PRICE"},
		{Key: "X", Value: "x$Y"},
		{Key: "Y", Value: "y$X"},
	}
	tests := []struct{ in, want string }{
		{"plain", "plain"},
		{"$A ${A}", "a a"},
		{"$C", "a-b/c"},
		{"$AB", ""},
		{"[$UNSET]", "[]"},
		{"$$A", "$A"},
		{"$RAW", "$A!"},
		{"$OVER_RAW", "<$A!>"},
		{"$FILE", "/builds/g/p.tmp/FILE"},
		{"$OVER_FILE", "at /builds/g/p.tmp/FILE"},
		{"$OVER_PRICE", "5$A"},
		{"100%", "100%"},
		{"$(date)", "$(date)"},
		{"a$", "a$"},
	}
	for _, tt := range tests {
		if got := Expand(tt.in, vars); got != tt.want {
			t.Errorf("Expand(%q) = %q, want %q", tt.in, got, tt.want)
		}
	}
	env := Environ(Execution{Job: Job{Variables: vars}})
	for key, want := range map[string]string{
		"C": "a-b/c", "RAW": "$A!", "FILE": "content $A", "SELF": "x:$SELF", "PRICE": "5$A", "OVER_FILE": "at /builds/g/p.tmp/FILE",
	} {
		if got := lookup(env, key); got != want {
			t.Errorf("%s = %q, want %q", key, got, want)
		}
	}
}

func TestExpandIsBounded(t *testing.T) {
	t.Parallel()
	vars := []Variable{{Key: "V0", Value: strings.Repeat("x", 100)}}
	for i := 1; i < 60; i++ {
		prev := vars[i-1].Key
		vars = append(vars, Variable{Key: "V" + strings.Repeat("a", i), Value: "$" + prev + "$" + prev})
	}
	for _, v := range Environ(Execution{Job: Job{Variables: vars}}) {
		if len(v.Value) > 8*maxValue {
			t.Errorf("%.10s… has %d bytes", v.Key, len(v.Value))
		}
	}
}

func TestEnvironPrecedence(t *testing.T) {
	t.Parallel()
	one := func(value string) []Variable { return []Variable{{Key: "V", Value: value}} }
	e := Execution{Project: project, Trigger: push}
	steps := []struct {
		name string
		set  func()
	}{
		{"yaml", func() { e.Job.Variables = one("yaml") }},
		{"dotenv", func() { e.Dotenv = one("dotenv") }},
		{"instance", func() { e.Settings.Instance = one("instance") }},
		{"group", func() { e.Settings.Group = one("group") }},
		{"project", func() { e.Settings.Project = one("project") }},
		{"trigger", func() { e.Trigger.Variables = one("trigger") }},
	}
	for _, s := range steps {
		s.set()
		if got := lookup(Environ(e), "V"); got != s.name {
			t.Errorf("with %s: V = %s", s.name, got)
		}
	}
}

func TestEnvironPredefined(t *testing.T) {
	t.Parallel()
	e := Execution{Project: project, Trigger: push, JobID: 99, Job: Job{
		Name: "deploy it", Stage: "deploy", Image: &Image{Name: "$CI_REGISTRY_IMAGE:x"},
		Environment: &Environment{Name: "review/$CI_COMMIT_REF_SLUG", URL: "https://$CI_ENVIRONMENT_SLUG.example.org"},
		Variables:   []Variable{{Key: "CI_REGISTRY", Value: "from-yaml"}},
	}}
	e.Trigger.Ref = "Feature/X_1"
	e.Settings.Instance = []Variable{{Key: "CI_REGISTRY", Value: "old"}, {Key: "CI_REGISTRY_IMAGE", Value: "old/group/app"}}
	e.Settings.Project = []Variable{
		{Key: "CI_REGISTRY_IMAGE", Value: "ecr/group/app"},
		{Key: "ONLY_STAGING", Value: "x", EnvironmentScope: "staging"},
		{Key: "SCOPED", Value: "exact", EnvironmentScope: "review/feature-x-1"},
		{Key: "SCOPED", Value: "wide", EnvironmentScope: "review/*"},
		{Key: "SECRET", Value: "x", Protected: true},
	}
	e.Trigger.ProtectedRef = false
	env := Environ(e)
	for key, want := range map[string]string{
		"CI_COMMIT_REF_SLUG":   "feature-x-1",
		"CI_COMMIT_BRANCH":     "Feature/X_1",
		"CI_COMMIT_TAG":        "(unset)",
		"CI_COMMIT_SHORT_SHA":  "1f2e3d4c",
		"CI_COMMIT_TITLE":      "Change",
		"CI_PROJECT_NAMESPACE": "group",
		"CI_SERVER_FQDN":       "gitlab.example.org",
		"CI_JOB_ID":            "99",
		"CI_JOB_NAME_SLUG":     "deploy-it",
		"CI_REGISTRY":          "from-yaml", // predefined ones lose to the file
		"CI_REGISTRY_IMAGE":    "ecr/group/app",
		"CI_JOB_IMAGE":         "ecr/group/app:x",
		"CI_ENVIRONMENT_NAME":  "review/feature-x-1",
		"CI_ENVIRONMENT_URL":   "https://" + EnvironmentSlug("review/feature-x-1") + ".example.org",
		"ONLY_STAGING":         "(unset)",
		"SCOPED":               "exact",
		"SECRET":               "(unset)",
	} {
		if got := lookup(env, key); got != want {
			t.Errorf("%s = %q, want %q", key, got, want)
		}
	}
}

func TestSlugs(t *testing.T) {
	t.Parallel()
	tests := []struct{ in, slug, environment string }{
		{"staging", "staging", "staging"},
		{"review/x", "review-x", "review-x-"},
		{"Ærlig_Ønske", "-rlig--nske", "env-rlig-nske-"},
		{strings.Repeat("a", 70), strings.Repeat("a", 63), "aaaaaaaaaaaaaaaaa-"},
		{"1st", "1st", "env-1st-"},
	}
	for _, tt := range tests {
		if got := slug(tt.in); got != strings.Trim(tt.slug, "-") {
			t.Errorf("slug(%q) = %q, want %q", tt.in, got, tt.slug)
		}
		got := EnvironmentSlug(tt.in)
		if !strings.HasPrefix(got, tt.environment) || len(got) > 24 {
			t.Errorf("EnvironmentSlug(%q) = %q, want %q and a suffix", tt.in, got, tt.environment)
		}
	}
}
