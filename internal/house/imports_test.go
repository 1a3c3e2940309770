// Package house proves that the rooms import each other only as docs/design.md
// says: data flows one way, and each outside library lives in one room.
package house

import (
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "gitlab.sikt.no/platon/ecrferry"

// room says what a package of ours may import of ours; "..." at the end stands
// for every package below.
type room struct {
	may []string
	why string
}

var domain = []string{
	"internal/naming", "internal/ciconfig", "internal/diagnose", "internal/deploy", "internal/copy",
	"internal/gitlab", "internal/ecr", "internal/registry", "internal/cluster", "internal/console", "internal/probe", "internal/webhook",
	"internal/store", "internal/fault", "internal/pace", "internal/calendar", "internal/reconcile", "internal/textdiff", "reports",
}

var rooms = map[string]room{
	"cmd/worker":                     {[]string{"internal/...", "reports"}, "the wiring of the process"},
	"cmd/enqueue":                    {[]string{"internal/...", "reports"}, "the wiring of the command line"},
	"cmd/sandbox":                    {[]string{"internal/sandbox/..."}, "the stand-ins know nothing of the domain"},
	"cmd/bench":                      {[]string{"internal/sandbox/..."}, "measures programs from outside, ours like the others"},
	"internal/jobs":                  {domain, "where pure rooms and clients meet"},
	"internal/copy":                  {[]string{"internal/naming", "internal/registry", "internal/ecr", "internal/fault", "internal/pace"}, "the engine stands on two client rooms"},
	"internal/naming":                {nil, "pure: the one mapping that copier, rewriter and reconciler share"},
	"internal/ciconfig":              {[]string{"internal/naming", "internal/textdiff"}, "pure: files in, edits and findings out"},
	"internal/diagnose":              {nil, "pure: a log in, a cause out"},
	"internal/deploy":                {nil, "pure: evidence in, a verdict out"},
	"internal/reconcile":             {[]string{"internal/naming"}, "pure: observed facts in, classes out"},
	"internal/fault":                 {nil, "a leaf that everybody may import"},
	"internal/pace":                  {[]string{"internal/fault"}, "the limiters of two client rooms, by action"},
	"internal/gitlab":                {[]string{"internal/fault"}, "a client room"},
	"internal/ecr":                   {[]string{"internal/fault", "internal/pace"}, "a client room"},
	"internal/registry":              {[]string{"internal/fault", "internal/pace"}, "a client room"},
	"internal/cluster":               {[]string{"internal/fault"}, "a client room"},
	"internal/webhook":               {[]string{"internal/fault"}, "a client room"},
	"internal/console":               {[]string{"internal/fault"}, "a client room"},
	"internal/probe":                 {nil, "a client room"},
	"internal/assembly":              {[]string{"internal/..."}, "what both programs are made of"},
	"internal/metrics":               {nil, "observers for the rooms"},
	"internal/store":                 {nil, "all SQL, nothing else"},
	"internal/config":                {[]string{"internal/calendar", "internal/reconcile"}, "environment to values, checked by who understands them"},
	"internal/textdiff":              {nil, "pure: two texts in, a diff out"},
	"internal/calendar":              {nil, "pure: hours and freezes in, open or not out"},
	"internal/postgres":              {[]string{"migrations"}, "connects, starts and migrates"},
	"internal/house":                 {nil, "this test"},
	"internal/sandbox":               {[]string{"internal/sandbox/..."}, "libraries only, never a domain room"},
	"internal/sandbox/...":           {[]string{"internal/sandbox/..."}, "libraries only, never a domain room"},
	"internal/postgres/postgrestest": {[]string{"internal/postgres", "migrations"}, "databases for tests"},
	"internal/dashboard/browsertest": {nil, "a browser for tests"},
	"internal/sandbox/skopeotest":    {nil, "skopeo for tests"},
	"internal/dashboard":             {[]string{"internal/calendar", "internal/store", "internal/textdiff", "reports"}, "pages over what the store knows; it acts through an interface"},
	"migrations":                     {nil, "SQL"},
	"reports":                        {[]string{"internal/store", "internal/reconcile"}, "rows and models in, pages out"},
}

// libraries lists the rooms that alone may import an outside library.
var libraries = map[string][]string{
	"github.com/riverqueue/":                     {"internal/jobs", "cmd/...", "internal/postgres"},
	"riverqueue.com/riverui":                     {"cmd/worker"},
	"github.com/chromedp/":                       {"internal/dashboard/browsertest"},
	"github.com/aws/":                            {"internal/ecr", "internal/sandbox/..."},
	"gitlab.com/gitlab-org/api/client-go":        {"internal/gitlab", "internal/sandbox/..."},
	"github.com/regclient/":                      {"internal/registry", "internal/sandbox/..."},
	"k8s.io/":                                    {"internal/cluster", "internal/sandbox/..."},
	"github.com/distribution/distribution":       {"internal/sandbox/..."},
	"github.com/pressly/goose":                   {"internal/postgres"},
	"github.com/fergusstrange/embedded-postgres": {"internal/postgres"},
	"mvdan.cc/sh/v3/interp":                      {"internal/sandbox/..."},
	"github.com/prometheus/":                     {"internal/metrics"},
	"github.com/jackc/pgx":                       {"internal/store", "internal/postgres", "internal/postgres/...", "internal/jobs", "cmd/...", "migrations"},
}

// impure lists what a pure room does not import: no context, no client, no log.
var impure = []string{"context", "net/http", "log", "log/slog", "os", "os/exec", "database/sql"}

var pure = []string{"internal/naming", "internal/ciconfig", "internal/diagnose", "internal/deploy", "internal/reconcile", "internal/calendar", "internal/textdiff"}

func TestImports(t *testing.T) {
	t.Parallel()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("go", "list", "-f", `{{.ImportPath}} {{join .Imports " "}}`, "./...")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	seen := 0
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		pkg := strings.TrimPrefix(fields[0], module+"/")
		seen++
		rule, ok := ruleOf(pkg)
		if !ok {
			t.Errorf("%s has no line in the table of rooms; add it here and in docs/design.md", pkg)
			continue
		}
		for _, imp := range fields[1:] {
			if ours, ok := strings.CutPrefix(imp, module+"/"); ok {
				if !matchAny(rule.may, ours) {
					t.Errorf("%s imports %s; it may import %v (%s)", pkg, ours, rule.may, rule.why)
				}
				continue
			}
			for prefix, only := range libraries {
				if strings.HasPrefix(imp, prefix) && !matchAny(only, pkg) {
					t.Errorf("%s imports %s, which lives in %v only", pkg, imp, only)
				}
			}
			if slices.Contains(pure, pkg) && slices.Contains(impure, imp) {
				t.Errorf("%s is a pure room and imports %s", pkg, imp)
			}
		}
	}
	if seen < 5 {
		t.Fatalf("go list named only %d packages", seen)
	}
}

func ruleOf(pkg string) (room, bool) {
	if r, ok := rooms[pkg]; ok {
		return r, true
	}
	for pattern, r := range rooms {
		if strings.HasSuffix(pattern, "/...") && match(pattern, pkg) {
			return r, true
		}
	}
	return room{}, false
}

func matchAny(patterns []string, pkg string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return match(p, pkg) })
}

func match(pattern, pkg string) bool {
	if below, ok := strings.CutSuffix(pattern, "/..."); ok {
		return pkg == below || strings.HasPrefix(pkg, below+"/")
	}
	return pkg == pattern
}
