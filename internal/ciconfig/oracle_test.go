package ciconfig

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// The oracle runs a project's pipelines before and after a rewrite with
// stand-ins for the tools and compares what they do with images. It lies beside
// the repository. CICONFIG_ORACLE=all asks it everything, else a minute is enough.

// modes are what the oracle asks of tags that move.
var modes = []string{"warn", "dropped", "error"}

// accepted are the real projects whose rewrite the oracle accepts with no
// blocking finding, and how to ask first: a rewrite takes one of three ways for
// the tags that move. Whoever makes it more, adds here.
var accepted = map[string]string{
	"Bigouden__gitlab-ci-templates":                  "dropped",
	"XoRHub__waas":                                   "dropped",
	"Iam-Karan-Suresh__retail-cloud-native-platform": "dropped",
	"SocialGouv__emjpm":                              "dropped",
	"basilelt__tutorial-python-microservice-tornado": "warn",
	"erniehub__imagedeploy":                          "dropped",
	"France-Nuage__plateforme":                       "dropped",
	"openwrt__buildbot":                              "dropped",
	"amirghedira__amir-platform-ui":                  "warn",
	"external-mirrors__MetaGer":                      "warn",
	"FlarelyLegal__cf-gitlab":                        "dropped",
	"24HeuresINSA__Overbookd":                        "dropped",
	"mendersoftware__mender-server":                  "dropped",
	"archlinux__archlinux-docker":                    "warn",
	"mirador1__mirador-service":                      "dropped",
	"OpenSCMS__OpenSCMS":                             "error",
	"sikt-no__sds-komponentbibliotek":                "warn",
	"UbiquitousLanguage__gitlab-auto-deploy-image":   "dropped",
	"Ultimaker__um-kernel":                           "warn",
	"USEPA__webcms":                                  "warn",
	"CLOVIS-AI__Formulaide":                          "dropped",
	"AAraKKe__mitup-telegram-bot":                    "warn",
	"meltano__meltano":                               "dropped",
	"kubernetes-sigs__kubespray":                     "warn",
}

// unjudged are real projects in whose rewrite the oracle finds nothing wrong, but which
// its own limits keep it from judging (docs/rewriting.md), and how to ask.
var unjudged = map[string]string{
	"epita__nixpie":               "dropped",
	"oly-exams__exam_tools":       "warn",
	"pimeleon__pimeleon-apps":     "dropped",
	"smith-of-code__ggr-platform": "dropped",
}

// slow are accepted projects that the oracle needs more than four seconds for.
var slow = []string{"24HeuresINSA__Overbookd", "erniehub__imagedeploy", "kubernetes-sigs__kubespray", "France-Nuage__plateforme", "meltano__meltano", "mendersoftware__mender-server", "sikt-no__sds-komponentbibliotek", "USEPA__webcms"}

// patience is how long the oracle may take for one project, in one mode.
const patience = 12 * time.Minute

// opinion is what the oracle says.
type opinion struct {
	Verdict    string `json:"verdict"` // same, different, unjudged; or "time limit"
	Violations []struct {
		Kind, Job, Ref, File string
		Line                 int
		Detail               string
	} `json:"violations"`
	Unjudged []struct{ Kind, Job, File, Detail string } `json:"unjudged"`
	Mapping  [][2]string                                `json:"mapping"` // old reference, new reference
}

// built builds the oracle once: every call of its script would look.
var built = sync.OnceValue(func() error {
	out, err := exec.Command("../../../shared/tools/ci-oracle/ci-oracle.sh", "map", "alpine").CombinedOutput()
	if err != nil {
		return fmt.Errorf("building the oracle: %w: %s", err, out)
	}
	return nil
})

// stubs is a directory with the stand-ins for included files: the oracle's and,
// beside them, ours for templates of GitLab that it has none for.
func stubs(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, from := range []string{filepath.Join(shared(t, "tools/ci-oracle"), "stubs"), filepath.Join("testdata", "stubs")} {
		if err := os.CopyFS(dir, os.DirFS(from)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// ask compares two directories. The rule is the content of a rule file.
func ask(t *testing.T, before, after, mode, file string, rule map[string]any) opinion {
	t.Helper()
	script := filepath.Join(shared(t, "tools/ci-oracle"), "ci-oracle.sh")
	if err := built(); err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(rule)
	if err != nil {
		t.Fatal(err)
	}
	ruleFile, answer := filepath.Join(t.TempDir(), "rule.json"), filepath.Join(t.TempDir(), "answer.json")
	if err := os.WriteFile(ruleFile, b, 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{fmt.Sprint(int(patience.Seconds())), script, "compare", "-rule", ruleFile, "-json", answer, "-timeout", "150s", "-stubs", stubs(t)}
	if mode != "" {
		args = append(args, "-mutable", mode)
	}
	if file != "" {
		args = append(args, "-file", file)
	}
	cmd := exec.CommandContext(t.Context(), "timeout", append(args, before, after)...)
	out, err := cmd.CombinedOutput()
	exit, failed := errors.AsType[*exec.ExitError](err)
	switch {
	case failed && exit.ExitCode() == 124:
		return opinion{Verdict: "time limit"}
	case failed && exit.ExitCode() == 3:
		t.Skipf("the oracle cannot run here: %s", out)
	case err != nil && !failed:
		t.Fatal(err)
	}
	var o opinion
	if b, err = os.ReadFile(answer); err == nil {
		err = json.Unmarshal(b, &o)
	}
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return o
}

// rewriteInto rewrites a project and returns the directory with the result.
func rewriteInto(t *testing.T, dir string, ru rule) (after string, res *Result) {
	t.Helper()
	res, err := Rewrite(input(readProject(t, dir), ru))
	if err != nil {
		t.Fatal(err)
	}
	after = t.TempDir()
	if err := os.CopyFS(after, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	for _, e := range res.Edits {
		p := filepath.Join(after, filepath.FromSlash(e.Path))
		if err := errors.Join(os.Chmod(p, 0o644), os.WriteFile(p, e.After, 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	return after, res
}

var placeholder = regexp.MustCompile(`\$(\{[^}]*\}|\([^)]*\)|\w+)`)

// pipelineValues are the values that the oracle gives to predefined variables,
// over its kinds of pipeline.
var pipelineValues = map[string][]string{
	"CI_COMMIT_SHA":       {"1f2e3d4c5b6a79880716253443526170abcdef01"},
	"CI_COMMIT_SHORT_SHA": {"1f2e3d4c"},
	"CI_PIPELINE_ID":      {"8811223"},
	"CI_REGISTRY_TAG":     {"9d8c7b6a-1f2e3d4c-8811223"},
	"CI_COMMIT_TAG":       {"v1.2.3"},
	"CI_COMMIT_BRANCH":    {"main", "master", "feature/x-1"},
	"CI_COMMIT_REF_NAME":  {"main", "master", "feature/x-1", "v1.2.3"},
	"CI_COMMIT_REF_SLUG":  {"main", "master", "feature-x-1", "v1-2-3"},
	"CI_DEFAULT_BRANCH":   {"main", "master"},
}

// reported adds to a rule what the rewriter has reported: images of other
// projects are left to a person, jobs that only moved a tag are gone.
func reported(rule map[string]any, res *Result) map[string]any {
	manual, _ := rule["manual"].([]any)
	dropped, _ := rule["dropped"].([]any)
	for _, f := range res.Findings {
		switch f.Code {
		case "foreign-image":
			for _, d := range f.Details() {
				manual = append(manual, placeholder.ReplaceAllString(d, "*"))
			}
		case "job-dropped":
			dropped = append(dropped, f.Detail)
		}
	}
	rule["manual"], rule["dropped"] = manual, dropped
	return rule
}

// onlyReported says whether nothing is wrong but what findings name, tag by tag:
// a tag that is still pushed again, one that became another of the build's, a
// chart, an image of another project, a line that is left to a person.
// Each tag is decided by itself, so each is looked up by itself, by its old name.
func onlyReported(o opinion, res *Result) bool {
	var again, replaced, inPlace, foreign []*regexp.Regexp
	var charts []string
	places := map[string]bool{}
	for _, f := range res.Findings {
		if f.Severity != Note && f.Line > 0 {
			places[fmt.Sprint(f.File, ":", f.Line)] = true
			for _, also := range f.Also {
				places[also] = true
			}
		}
		for _, name := range f.Details() {
			switch f.Code {
			case "moving-tag", "tag-computed":
				again = append(again, withValues(name))
			case "foreign-image":
				foreign = append(foreign, withValues(strings.Replace(name, "registry.uninett.no", newHost, 1)))
			case "chart-push":
				charts = append(charts, strings.TrimSuffix(name, ":latest")+"/")
			case "tag-replaced":
				replaced = append(replaced, withValues(name))
				for _, m := range res.Mapping {
					if m.Old == name {
						inPlace = append(inPlace, withValues(strings.Replace(m.New, "$CI_REGISTRY_IMAGE", newBase, 1)))
					}
				}
			}
		}
	}
	for _, v := range o.Violations {
		was := ""
		for _, m := range o.Mapping {
			if strings.ReplaceAll(m[1], "<empty>", "") == v.Ref { // the oracle's word for a variable without a value
				was = withTag(m[0])
			}
		}
		told := false
		chart := slices.ContainsFunc(charts, func(c string) bool {
			return strings.HasPrefix(strings.TrimPrefix(was, "oci://"), c) || strings.HasPrefix(v.Ref, "oci://"+strings.Replace(c, "registry.uninett.no", newHost, 1))
		})
		switch v.Kind {
		case "other-name-text":
			told = places[fmt.Sprint(v.File, ":", v.Line)]
		case "wrong-repository":
			told = chart || oneMatches(foreign, v.Ref)
		case "mutable-push":
			told = oneMatches(again, was)
		case "missing-push", "missing-pull", "missing-deploy":
			told = chart && v.Kind == "missing-push" || oneMatches(replaced, was)
		case "extra-push", "extra-pull", "extra-deploy":
			told = oneMatches(inPlace, v.Ref)
		}
		if !told {
			return false
		}
	}
	return len(o.Violations) > 0 && len(o.Unjudged) == 0
}

// newBase is the one repository that the oracle gives to the project.
const (
	newHost = "123456789012.dkr.ecr.eu-north-1.amazonaws.com"
	newBase = newHost + "/group/project"
)

func oneMatches(list []*regexp.Regexp, ref string) bool {
	return slices.ContainsFunc(list, func(re *regexp.Regexp) bool { return re.MatchString(ref) })
}

// withValues matches a reference when its variables have values.
func withValues(ref string) *regexp.Regexp {
	var b strings.Builder
	last := 0
	for _, m := range placeholder.FindAllStringIndex(ref, -1) {
		b.WriteString(regexp.QuoteMeta(ref[last:m[0]]))
		last = m[1]
		values := pipelineValues[strings.Trim(ref[m[0]:m[1]], "${}")]
		if len(values) == 0 {
			b.WriteString("[^:@]*")
			continue
		}
		b.WriteString("(")
		for i, v := range values {
			if i > 0 {
				b.WriteByte('|')
			}
			b.WriteString(regexp.QuoteMeta(v))
		}
		b.WriteString(")")
	}
	return regexp.MustCompile("^" + b.String() + regexp.QuoteMeta(ref[last:]) + "$")
}

// withTag writes out the tag that a reference without one has.
func withTag(ref string) string {
	if strings.LastIndexByte(ref, ':') > strings.LastIndexByte(ref, '/') {
		return ref
	}
	return ref + ":latest"
}

// TestOnlyReported: an acceptance with reports covers the tags that findings
// name, and no other.
func TestOnlyReported(t *testing.T) {
	t.Parallel()
	const base = "registry.uninett.no/group/project"
	res := &Result{
		Findings: []Finding{
			{Code: "moving-tag", Detail: base + "/$(…)-3:${CI_COMMIT_REF_SLUG}"}, {Code: "tag-computed", Detail: base + ":v$(…)"},
			{Code: "chart-push", Detail: base + "/charts:latest", File: "ci.yml", Line: 7}, {Code: "foreign-image", Detail: "registry.uninett.no/other/tool:1"},
			{Code: "moving-tag", Detail: base + "/api:latest"}, {Code: "tag-replaced", Detail: base + "/db:dev"},
		},
		Mapping: []Mapped{{Old: base + "/db:dev", New: "$CI_REGISTRY_IMAGE:db-dev-${CI_COMMIT_SHA}"}, {Old: base + "/api:dev", New: "$CI_REGISTRY_IMAGE:api-dev-${CI_COMMIT_SHA}"}},
	}
	sha := pipelineValues["CI_COMMIT_SHA"][0]
	for _, c := range []struct {
		kind, old, new string
		want           bool
	}{
		{"mutable-push", base + "/web-3:main", "", true},
		{"mutable-push", base + "/web-3:other", "", false},
		{"mutable-push", base + "/web-4:main", "", false},
		{"mutable-push", base + "/web-3", "", false},
		{"mutable-push", base + ":v1", "", true},
		{"mutable-push", base + ":1", "", false},
		{"mutable-push", base + "/api", "", true},
		{"mutable-push", base + "/api:dev", "", false},
		{"mutable-push", base + "/db:dev", "", false},
		{"missing-push", base + "/db:dev", "", true},
		{"missing-push", base + "/api", "", false},
		{"extra-push", "", newBase + ":db-dev-" + sha, true},
		{"extra-push", "", newBase + ":db-dev", false},
		{"extra-push", "", newBase + ":api-dev-" + sha, false},
		{"wrong-repository", "", "oci://" + newBase + "/charts/app", true},
		{"wrong-repository", "", newBase + "/charts/app", false},
		{"wrong-repository", "", newHost + "/other/tool:1", true},
		{"wrong-repository", "", newHost + "/other/tool:2", false},
		{"missing-push", "oci://" + base + "/charts/app", "", true},
		{"other-name-text", "", "", false},
		{"dangling", base + "/db:dev", "", false},
		{"lost-command", "", "", false},
	} {
		o := opinion{Mapping: [][2]string{{c.old, "new"}}}
		o.Violations = slices.Grow(o.Violations, 1)[:1]
		o.Violations[0].Kind, o.Violations[0].Ref = c.kind, "new"
		if c.new != "" {
			o.Violations[0].Ref = c.new
		}
		if got := onlyReported(o, res); got != c.want {
			t.Errorf("%s of %s%s counts as reported: %v, want %v", c.kind, c.old, c.new, got, c.want)
		}
	}
}

// TestOraclePlaton: the hand-made projects are accepted with their rule files.
func TestOraclePlaton(t *testing.T) {
	t.Parallel()
	root := shared(t, "corpus/platon")
	dirs, err := filepath.Glob(root + "/*.expected")
	if err != nil || len(dirs) == 0 {
		t.Fatalf("no samples in %s: %v", root, err)
	}
	for _, dir := range dirs {
		dir = strings.TrimSuffix(dir, ".expected")
		t.Run(filepath.Base(dir), func(t *testing.T) {
			t.Parallel()
			rule := map[string]any{}
			if b, err := os.ReadFile(dir + ".rule.json"); err == nil {
				if err := json.Unmarshal(b, &rule); err != nil {
					t.Fatal(err)
				}
			}
			delete(rule, "names") // whole names become prefixes, as internal/naming maps them
			after, res := rewriteInto(t, dir, readRule(t, dir+".rule.json"))
			if o := ask(t, dir, after, "", "", reported(rule, res)); o.Verdict != "same" {
				t.Errorf("the oracle says %s: %+v %+v", o.Verdict, o.Violations, o.Unjudged)
			}
		})
	}
}

// TestOracleRefuses: a project that was not rewritten is not accepted.
func TestOracleRefuses(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(shared(t, "corpus/platon"), "name-to-prefix")
	if o := ask(t, dir, dir, "", "", map[string]any{}); o.Verdict != "different" || len(o.Violations) == 0 {
		t.Errorf("the oracle says %s of a project that still names the old registry", o.Verdict)
	}
}

// TestOracleAccepted: what the oracle once accepted stays accepted.
func TestOracleAccepted(t *testing.T) {
	t.Parallel()
	root := shared(t, "corpus/ci")
	for name, mode := range accepted {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if slices.Contains(slow, name) && os.Getenv("CICONFIG_ORACLE") != "all" {
				t.Skip("takes the oracle long; set CICONFIG_ORACLE=all")
			}
			dir, ru := filepath.Join(root, name), corpusRule(name)
			after, res := rewriteInto(t, dir, ru)
			if res.Blocked() {
				t.Fatalf("blocked: %+v", res.Findings)
			}
			for _, mode := range append([]string{mode}, modes...) {
				o := ask(t, dir, after, mode, ru.CIPath, reported(map[string]any{"vars": ru.Variables}, res))
				if o.Verdict == "same" || mode == "dropped" && onlyReported(o, res) {
					return
				}
				t.Logf("asked with %s the oracle says %s: %+v %+v", mode, o.Verdict, o.Violations, o.Unjudged)
			}
			t.Error("the oracle does not accept it any more")
		})
	}
}

// TestOracleUnjudged: where the oracle cannot judge, it finds nothing wrong.
func TestOracleUnjudged(t *testing.T) {
	t.Parallel()
	root := shared(t, "corpus/ci")
	for name, mode := range unjudged {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, ru := filepath.Join(root, name), corpusRule(name)
			after, res := rewriteInto(t, dir, ru)
			if res.Blocked() {
				t.Fatalf("blocked: %+v", res.Findings)
			}
			o := ask(t, dir, after, mode, ru.CIPath, reported(map[string]any{"vars": ru.Variables}, res))
			if o.Verdict != "unjudged" || len(o.Violations) > 0 {
				t.Errorf("the oracle says %s: %+v", o.Verdict, o.Violations)
			}
		})
	}
}

// TestOracleTable asks everything and logs the table of docs/rewriting.md:
//
//	CICONFIG_ORACLE=all go test ./internal/ciconfig -run TestOracleTable -v -timeout 2h
func TestOracleTable(t *testing.T) {
	if os.Getenv("CICONFIG_ORACLE") != "all" {
		t.Skip("CICONFIG_ORACLE is not all")
	}
	root := shared(t, "corpus/ci")
	dirs, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	rows := map[string]string{}
	t.Run("ask", func(t *testing.T) {
		for _, d := range dirs {
			if name := d.Name(); d.IsDir() {
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					row, said := tableRow(t, filepath.Join(root, name), corpusRule(name))
					mu.Lock()
					defer mu.Unlock()
					rows[strings.ToLower(name)] = row
					if accepted[name] != "" && !slices.Contains(said, "same") && !slices.Contains(said, "reported only") {
						t.Errorf("no longer accepted: %v", said)
					}
				})
			}
		}
	})
	var b strings.Builder
	b.WriteString("\n| project | rewrite | warn / dropped / error | findings that ask for something |\n| --- | --- | --- | --- |\n")
	for _, name := range sortedKeys(rows) {
		b.WriteString(rows[name])
	}
	t.Log(b.String())
}

// tableRow rewrites a project and asks for it in all modes.
func tableRow(t *testing.T, dir string, ru rule) (row string, said []string) {
	after, res := rewriteInto(t, dir, ru)
	state := "rewritten"
	switch {
	case res.Blocked():
		state = "blocked"
	case len(res.Edits) == 0:
		state = "untouched"
	}
	for _, mode := range modes {
		answer := "-"
		if !res.Blocked() && len(res.Edits)+len(res.References) > 0 {
			o := ask(t, dir, after, mode, ru.CIPath, reported(map[string]any{"vars": ru.Variables}, res))
			if answer = o.Verdict; mode == "dropped" && onlyReported(o, res) {
				answer = "reported only"
			}
			for _, v := range o.Violations {
				t.Logf("%s: %+v", mode, v)
			}
			for _, u := range o.Unjudged {
				t.Logf("%s: unjudged: %+v", mode, u)
			}
		}
		said = append(said, answer)
		if answer == "same" || answer == "reported only" {
			break // accepted
		}
	}
	count := map[string]int{}
	for _, f := range res.Findings {
		if f.Severity != Note {
			count[string(f.Code)]++
		}
	}
	var findings []string
	for _, code := range sortedKeys(count) {
		findings = append(findings, fmt.Sprintf("%s %d", code, count[code]))
	}
	name := strings.Replace(filepath.Base(dir), "__", "/", 1)
	return fmt.Sprintf("| %s | %s | %s | %s |\n", name, state, strings.Join(said, " / "), strings.Join(findings, ", ")), said
}
