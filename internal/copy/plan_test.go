package copy_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"gitlab.sikt.no/platon/ecrferry/internal/copy"
	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/oci"
)

func TestParsePolicy(t *testing.T) {
	t.Parallel()
	tests := map[string]string{
		"":                                   "in-use,newest=10",
		"in-use, newest=3":                   "in-use,newest=3",
		"all":                                "all",
		"in-use":                             "in-use",
		"newest=5,exclude=*-debug":           "newest=5,exclude=*-debug",
		"exclude=tmp-*":                      "in-use,newest=10,exclude=tmp-*",
		"all,max-age=90d,include=group/**:*": "all,include=group/**:*,max-age=2160h0m0s",
	}
	for s, want := range tests {
		p, err := copy.ParsePolicy(s)
		if err != nil || p.String() != want {
			t.Errorf("ParsePolicy(%q) = %s, %v, want %s", s, p, err, want)
		}
		if again, err := copy.ParsePolicy(p.String()); err != nil || again.String() != want {
			t.Errorf("%s does not read back: %s, %v", p, again, err)
		}
	}
	for _, s := range []string{"newest", "newest=0", "newest=x", "everything", "include=", "exclude=[", "max-age=x", "max-age=-1h", "max-age=0d"} {
		if p, err := copy.ParsePolicy(s); err == nil {
			t.Errorf("ParsePolicy(%q) = %s, want an error", s, p)
		}
	}
}

func TestDefaultPolicyKeepsTheNewestTen(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	// Pushed in another order than built, and one image with two tags.
	for _, n := range []int{12, 3, 7, 1, 9, 11, 2, 5, 10, 4, 8, 6} {
		w.push("group/app-api", fmt.Sprintf("b%d", n), number(n))
	}
	w.push("group/app-api", "alias", number(12))
	for n := range 10 {
		w.push("group/app", fmt.Sprintf("few%d", n), number(100+n))
	}
	r := request()
	r.Policy = copy.Policy{}
	r.InUse = map[string]string{
		"group/app-api:b1":                    "staging runs it",
		"group/app-api:lost":                  "production runs it",
		"group/other:x":                       "not ours",
		"group/app-api@" + number(2).Digest(): "deployment.yaml names it",
		"group/app-api@" + oci.Digest(nil):    "an old manifest names it",
	}
	plan := w.plan(w.engine(), r)
	rows := byKey(plan.Images)
	want(t, rows, map[string]string{
		"group/app-api:b12": "planned", "group/app-api:alias": "planned", "group/app-api:b3": "planned",
		"group/app-api:b2":                    "left-out: not among the newest 10",
		"group/app-api:b1":                    "planned: staging runs it",
		"group/app-api:lost":                  "gone: production runs it",
		"group/app-api@" + number(2).Digest(): "planned: deployment.yaml names it",
		"group/app-api@" + oci.Digest(nil):    "gone: an old manifest names it",
		"group/app:few0":                      "planned", "group/app:few9": "planned",
	})
	if len(plan.Images) != 13+10+3 {
		t.Errorf("%d rows", len(plan.Images))
	}
	if n := plan.Forecast.Count[copy.Planned]; n != 11+1+1+10 {
		t.Errorf("%d planned", n)
	}
	if c := rows["group/app-api:b3"].Created; !c.Equal(time.Date(2026, 1, 1, 3, 0, 0, 0, time.UTC)) {
		t.Errorf("created: %v", c)
	}
	// Ten are not ranked, so nobody asks when they were built: of the others,
	// one config for each distinct image.
	if n := w.read("GET blobs 200"); n != 12 {
		t.Errorf("%d configs read, want 12", n)
	}
}

func TestPolicies(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for n := 1; n <= 4; n++ {
		w.push("group/app", fmt.Sprintf("r%d", n), number(n))
	}
	w.push("group/app", "r4-debug", number(44))
	now := time.Date(2026, 1, 1, 10, 0, 0, 0, time.UTC)
	tests := map[string]struct{ policy, want, why string }{ // why the others are left out
		"default":       {"", "r1 r2 r3 r4 r4-debug", ""},
		"all":           {"all", "r1 r2 r3 r4 r4-debug", ""},
		"in use only":   {"in-use", "r1", "not in use"},
		"newest":        {"newest=2", "r1 r4 r4-debug", "not in use, and not among the newest 2 of its name"},
		"both":          {"in-use,newest=1", "r1 r4-debug", "not in use, and not among the newest 1 of its name"},
		"exclude":       {"all,exclude=*-debug", "r1 r2 r3 r4", "excluded by the pattern *-debug"},
		"include":       {"all,include=group/app:r?", "r1 r2 r3 r4", "matches none of the patterns to include"},
		"in use anyway": {"all,exclude=*", "r1", "excluded by the pattern *"},
		"age":           {"all,max-age=7h", "r1 r3 r4 r4-debug", "longer ago than the policy's age limit"},
		"age of ranked": {"newest=3,max-age=6h1m", "r1 r4 r4-debug", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			p, err := copy.ParsePolicy(tt.policy)
			if err != nil {
				t.Fatal(err)
			}
			r := request()
			r.Policy, r.InUse = p, map[string]string{"group/app:r1": "production runs it"}
			o := w.options()
			o.Now = func() time.Time { return now }
			var got []string
			for _, i := range w.plan(copy.New(o), r).Images {
				if i.State == copy.Planned {
					got = append(got, i.SourceTag)
				} else if i.State != copy.LeftOut || i.Reason == "" || !strings.Contains(i.Reason, tt.why) {
					t.Errorf("%s: %s %q", i.SourceTag, i.State, i.Reason)
				}
			}
			if strings.Join(got, " ") != tt.want {
				t.Errorf("%s chooses %v, want %s", p, got, tt.want)
			}
		})
	}
}

func TestTagsThatMustStayFree(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, tag := range []string{"1", "latest", "main", "api-latest", "api-main-42"} {
		w.push("group/app", tag, number(len(tag)))
	}
	w.push("group/app-api", "latest", number(77))
	w.push("group/app-api", "main-42", number(78))
	r := request()
	r.Moving = func(tag string) string {
		return map[string]string{"latest": "a moving tag", "main": "the slug of a branch"}[tag]
	}
	r.Reserved = map[string]string{"api-main-42": "the next pipeline pushes it"}
	r.InUse = map[string]string{"group/app:main": "staging runs it"}
	rows := w.run(w.engine(), r)
	want(t, rows, map[string]string{
		"group/app:1":           "copied",
		"group/app:latest":      "left-out: a moving tag",
		"group/app:main":        "left-out: the slug of a branch; in use: staging runs it",
		"group/app:api-latest":  "left-out: must stay free for group/app-api:latest",
		"group/app-api:latest":  "left-out: a moving tag",
		"group/app-api:main-42": "left-out: the next pipeline pushes it",
		"group/app:api-main-42": "left-out: the next pipeline pushes it",
	})
	if got := w.tags(); len(got) != 1 {
		t.Errorf("tags at the target: %v", got)
	}
}

func TestCollisionsAndNames(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.push("group/app", "api-1", number(1))
	w.push("group/app-api", "1", number(2))
	w.push("group/app", "api-2", number(3))
	w.push("group/app-api", "2", number(3))
	long := strings.Repeat("x", 126)
	w.push("group/app-api", long, number(4))
	// This one is left out by the policy, but it means another image.
	w.push("group/app", "web-7", number(5))
	w.push("group/app/web", "7", number(6))
	r := request()
	r.Policy = copy.Policy{All: true, Exclude: []string{"web-*"}}
	rows := w.run(w.engine(), r)
	want(t, rows, map[string]string{
		"group/app:api-1":       "collision: group/app-api:1",
		"group/app-api:1":       "collision: group/app:api-1",
		"group/app:api-2":       "copied",
		"group/app-api:2":       "copied",
		"group/app-api:" + long: "invalid: 130 characters",
		"group/app:web-7":       "left-out",
		"group/app/web:7":       "collision: group/app:web-7",
	})
	w.same("api-2", number(3))
}

func TestConflictAndPresent(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.push("group/app", "1", number(1))
	w.push("group/app", "2", number(2))
	w.pushTarget("1", number(1))
	w.pushTarget("2", number(22))
	rows := w.run(w.engine(), request())
	want(t, rows, map[string]string{"group/app:1": "present", "group/app:2": "conflict: " + number(22).Digest()})
	if r := rows["group/app:2"]; r.SourceDigest != number(2).Digest() || r.TargetDigest != number(22).Digest() {
		t.Errorf("digests of the conflict: %+v", r)
	}
	w.same("2", number(22))
}

// Manifests that Distribution itself would not take in, served in the place of
// one that it did.
func TestWhatCannotBeCopied(t *testing.T) {
	t.Parallel()
	image := number(1)
	m, err := image.Parsed()
	if err != nil {
		t.Fatal(err)
	}
	layer, config := m.Layers[0], *m.Config
	manifest := func(change string, layers ...string) string {
		return fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,%s"config":{"mediaType":%q,"digest":%q,"size":%d},"layers":[%s]}`,
			image.MediaType, change, config.MediaType, config.Digest, config.Size, strings.Join(layers, ","))
	}
	one := fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":%d}`, layer.MediaType, layer.Digest, layer.Size)
	foreign := func(digest string, size int64) string {
		return fmt.Sprintf(`{"mediaType":"application/vnd.docker.image.rootfs.foreign.diff.tar.gzip","digest":%q,"size":%d,"urls":["https://mcr.microsoft.com/x"]}`, digest, size)
	}
	index := func(descriptors string) string {
		return `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[` + descriptors + `]}`
	}
	missing := fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":9,"platform":{"os":"linux","architecture":"s390x"}}`, image.MediaType, oci.Digest([]byte("missing")))
	tests := map[string]struct{ manifest, want string }{
		"schema 1":        {`{"schemaVersion":1,"name":"group/app","tag":"1","architecture":"amd64","fsLayers":[],"history":[],"signatures":[]}`, "invalid: schema 1"},
		"foreign layer":   {manifest("", one, foreign(oci.Digest([]byte("elsewhere")), 1)), "invalid: mcr.microsoft.com"},
		"foreign, cut":    {manifest("", foreign(layer.Digest, layer.Size-1)), "invalid: mcr.microsoft.com"},
		"foreign, held":   {manifest("", foreign(layer.Digest, layer.Size)), "copied"},
		"BuildKit cache":  {strings.Replace(manifest("", one), config.MediaType, "application/vnd.buildkit.cacheconfig.v0", 1), "left-out: BuildKit"},
		"cache index":     {index(fmt.Sprintf(`{"mediaType":"application/vnd.buildkit.cacheconfig.v0","digest":%q,"size":1}`, config.Digest)), "left-out: BuildKit"},
		"missing child":   {index(missing), "invalid: linux/s390x"},
		"too many layers": {manifest("", strings.Split(strings.Repeat(one+"|", 501), "|")[:501]...), "invalid: 501 layers"},
		"over 4 MiB":      {manifest(`"annotations":{"x":"`+strings.Repeat("x", 4<<20)+`"},`, one), "invalid: ECR takes 4194304"},
		"layer too big":   {manifest("", one, fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":%d}`, layer.MediaType, layer.Digest, 52_001<<20)), "invalid: ECR takes 54525952000"},
		"no manifest":     {`{"hello":"world"}`, "invalid: known format"},
		"gone meanwhile":  {"", "gone: deleted"},
		"twice the layer": {manifest("", one, one), "copied"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.push("group/app", "1", image)
			w.push("group/app", "good", number(2))
			status := 200
			if tt.manifest == "" {
				status = 404
			}
			w.answer("GET", "/manifests/1", status, tt.manifest)
			rows := w.run(w.engine(), request())
			want(t, rows, map[string]string{"group/app:1": tt.want, "group/app:good": "copied"})
			if !strings.HasPrefix(tt.want, "copied") && len(w.tags()) != 1 {
				t.Errorf("tags at the target: %v", w.tags())
			}
		})
	}
}

func TestNothingToCopy(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	plan := w.plan(w.engine(), request())
	if len(plan.Images) != 0 {
		t.Errorf("%d rows of repositories that do not exist", len(plan.Images))
	}
	if rows, err := w.execute(w.engine(), plan); err != nil || len(rows) != 0 {
		t.Errorf("%v, %v", rows, err)
	}
}
