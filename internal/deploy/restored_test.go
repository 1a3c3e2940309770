package deploy

import "testing"

func TestJudgeRestored(t *testing.T) {
	t.Parallel()
	e := Expectation{
		Registry: "1.dkr.ecr.eu-north-1.amazonaws.com", Repository: "g/p", OldRegistry: "registry.example.org",
		SHA: "abc", PipelineID: 7, Environments: []string{"staging"},
	}
	evidence := func(image string, complete bool) Evidence {
		return Evidence{
			Pipeline:     &Pipeline{ID: 7, SHA: "abc", Status: "success"},
			Deployments:  []Deployment{{ID: 1, Environment: "staging", Status: "success", SHA: "abc", PipelineID: 7}},
			Workloads:    []Workload{{Kind: "Deployment", Name: "staging", Containers: []Container{{Image: image}}, Complete: complete}},
			ClusterAsked: true,
		}
	}
	blind := evidence("", true)
	blind.Workloads, blind.ClusterAsked = nil, false
	for name, tt := range map[string]struct {
		evidence Evidence
		want     Outcome
	}{
		"from the old registry": {evidence("registry.example.org/g/p:1", true), Proven},
		"rolling out":           {evidence("registry.example.org/g/p:1", false), Pending},
		"still from ECR":        {evidence("1.dkr.ecr.eu-north-1.amazonaws.com/g/p:1", true), Refuted},
		"from elsewhere":        {evidence("docker.io/library/nginx:1", true), Unproven},
		"cluster not asked":     {blind, Unproven},
	} {
		if got := JudgeRestored(e, tt.evidence); got.Outcome != tt.want {
			t.Errorf("%s: %s (%s), want %s", name, got.Outcome, got.Summary, tt.want)
		}
	}
}
