package deploy

import (
	"strings"
	"testing"
	"time"
)

// TestPullIsAHint gives a verdict everything but what runs, and a pull of the
// image: that it was pulled is told, and proves nothing.
func TestPullIsAHint(t *testing.T) {
	t.Parallel()
	began := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	expect := Expectation{Registry: "ecr.example", Repository: "g/p", OldRegistry: "old.example", SHA: "abc", Since: began, Environments: []string{"staging"}}
	evidence := func(pulled map[string]time.Time) Evidence {
		return Evidence{
			Pipeline:    &Pipeline{ID: 1, SHA: "abc", Status: "success"},
			Deployments: []Deployment{{ID: 1, Environment: "staging", Status: "success", SHA: "abc"}},
			Images:      map[string]string{"v1": "sha256:1"},
			Pulled:      pulled,
		}
	}
	for name, test := range map[string]struct {
		pulled map[string]time.Time
		want   Result
		detail string
	}{
		"pulled since":  {map[string]time.Time{"v1": began.Add(time.Minute)}, Yes, "2026-03-01 12:01:00"},
		"pulled before": {map[string]time.Time{"v1": began.Add(-time.Minute)}, Unknown, "no pull since"},
		"never pulled":  {map[string]time.Time{}, Unknown, "no pull since"},
	} {
		v := Judge(expect, evidence(test.pulled))
		if v.Outcome != Unproven {
			t.Errorf("%s: %s, want unproven: a hint is no proof", name, v.Outcome)
		}
		hint := v.Checks[len(v.Checks)-1]
		if hint.Name != CheckPull || !hint.Hint || hint.Result != test.want || !strings.Contains(hint.Detail, test.detail) {
			t.Errorf("%s: %+v, want %s with %q", name, hint, test.want, test.detail)
		}
	}
	// With the cluster's word an unknown hint takes nothing from the proof, and
	// an image that no workload names is no hint.
	v := evidence(map[string]time.Time{"other": began.Add(time.Hour)})
	v.ClusterAsked = true
	v.Workloads = []Workload{{Kind: "Deployment", Name: "staging", Complete: true, Desired: 1, Ready: 1,
		Containers: []Container{{Image: "ecr.example/g/p:v1", RunningDigests: []string{"sha256:1"}}}}}
	got := Judge(expect, v)
	if got.Outcome != Proven || got.Checks[len(got.Checks)-1].Result != Unknown {
		t.Errorf("%s with %+v, want proven with an unknown hint", got.Outcome, got.Checks[len(got.Checks)-1])
	}
	if got := conclude(expect, []Check{{Name: CheckPull, Result: Yes, Hint: true}}, "ECR"); got.Outcome != Unproven {
		t.Errorf("nothing but a hint: %s, want unproven", got.Outcome)
	}
	if got := Judge(expect, evidence(nil)); got.Checks[len(got.Checks)-1].Name == CheckPull {
		t.Error("a hint although ECR was not asked for pulls")
	}
}
