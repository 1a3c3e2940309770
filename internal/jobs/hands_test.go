package jobs_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"gitlab.sikt.no/platon/ecrferry/internal/jobs"
	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/ci"
	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/paas"
	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/samples"
	"gitlab.sikt.no/platon/ecrferry/internal/store"
)

// TestPeopleAndPipelines lets people act on pipelines, environments and the
// cluster while we follow them, each in a project of its own.
func TestPeopleAndPipelines(t *testing.T) {
	t.Parallel()
	b := newBench(t, "archived")
	const (
		gate     = "hand/sluse"     // a manual job holds back the deployment
		gateLeft = "hand/sluse2"    // and by policy nobody plays it
		again    = "hand/igjen"     // a failed job is started again by hand, and passes
		canceled = "hand/avbrutt"   // the pipeline is canceled, and run anew by hand
		stopped  = "hand/stoppet"   // the environment is stopped before the verdict
		byHand   = "hand/for-haand" // the workload is set back to the old image by hand
		broken   = "hand/knust"     // production fails when it is played
	)
	const approve = "approve:\n  stage: test\n  when: manual\n  allow_failure: false\n  script: [\"true\"]\n"
	ids, paths := map[string]int64{}, map[int64]string{}
	for path, edit := range map[string]func(string) string{
		gate: more(approve), gateLeft: more(approve),
		again:    more("check:\n  stage: test\n  script: [test \"$GO\" = yes]\n"),
		canceled: more("slow:\n  stage: test\n  tags: [no-such-runner]\n  script: [\"true\"]\n"),
		stopped:  func(ci string) string { return ci }, byHand: func(ci string) string { return ci },
	} {
		ids[path] = b.variant("one-image", path, func(s *samples.Sample) {
			if strings.Contains(path, "sluse") || path == again || path == canceled {
				s.Pipeline = new(bool)
			}
			ciFile(edit)(s)
		})
	}
	ids[broken] = b.variant("manual-production", broken, func(s *samples.Sample) {
		s.Play, s.Pipeline = nil, new(bool)
		ciFile(func(ci string) string {
			at := strings.LastIndex(ci, "script: [deploy deployment.yaml]")
			return ci[:at] + "script: [test -f there-is-no-such-file]\n"
		})(s)
	})
	for path, id := range ids {
		paths[id] = path
		b.put(path, id, func(p *jobs.Policy) {
			switch path {
			case gate:
				p.Production = "play" // what is not production is not played by policy
			case gateLeft:
				p.Production = "skip"
			}
		})
	}
	old := b.workload(byHand).Containers[0].Image
	var mu sync.Mutex
	done := map[string]bool{}
	b.start(func(o *jobs.Options) {
		o.Settings.ProductionPoll = 200 * time.Millisecond
		o.Crash = func(step store.StepName, m store.Migration) bool {
			path := paths[m.ProjectID]
			mu.Lock()
			defer mu.Unlock()
			ps := b.world.GitLab.Pipelines(path)
			if step != store.StepPipeline || done[path] || len(ps) == 0 || ps[len(ps)-1].Status != "success" || m.PipelineID != ps[len(ps)-1].ID {
				return false
			}
			done[path] = true
			switch path {
			case stopped:
				if err := b.world.GitLab.StopEnvironment(path, "staging"); err != nil {
					t.Error(err)
				}
			case byHand:
				w := b.workload(path)
				if err := b.world.PaaS.SetImage(t.Context(), strings.ReplaceAll(path, "/", "-"), w.Kind, w.Name, "*", old); err != nil {
					t.Error(err)
				}
			}
			return false
		}
	})

	r := b.until(gate, "production")
	if !strings.Contains(r.Why, "waits for the manual job approve") || !strings.Contains(r.Next, "enqueue promote") {
		t.Errorf("%s: %s; next %s", gate, r.Why, r.Next)
	}
	if n := b.runs(gate, "approve"); n != 0 {
		t.Errorf("a job that is not production's was played %d times by policy", n)
	}
	b.must(b.world.GitLab.Play(gate, "approve"))
	b.expect(gate, store.StateDone, "", "")
	b.expect(gateLeft, store.StateAttention, "unproven", "nothing shows that the images in ECR run")

	b.expect(again, store.StateAttention, "script-failure", "check")
	b.must(b.world.GitLab.SetVariable(again, ci.Variable{Key: "GO", Value: "yes"}))
	clients, _ := b.clients()
	ps := b.world.GitLab.Pipelines(again)
	_, err := clients.GitLab.RetryPipeline(t.Context(), ids[again], ps[len(ps)-1].ID)
	b.must(err)
	b.must(b.world.GitLab.WaitIdle(t.Context()))
	b.retry(again)
	b.expect(again, store.StateDone, "", "")
	if n := len(b.world.GitLab.Pipelines(again)); n != len(ps) || b.events(again, "pipeline-retried") != 0 {
		t.Errorf("%s: %d pipelines, %d retries of ours; want the one that its owners made pass", again, n, b.events(again, "pipeline-retried"))
	}

	b.await("the pipeline to stand", time.Minute, func() (bool, string) {
		ps = b.world.GitLab.Pipelines(canceled)
		return len(ps) == 1 && b.status(canceled).Reason == "pipeline", b.status(canceled).Why
	})
	_, err = clients.GitLab.CancelPipeline(t.Context(), ids[canceled], ps[0].ID)
	b.must(err)
	b.expect(canceled, store.StateAttention, "pipeline-canceled", "run the pipeline of main again")
	b.push(canceled, "Without the slow one", func(ci string) string { return strings.Replace(ci, "tags: [no-such-runner]", "tags: [docker]", 1) })
	b.retry(canceled)
	b.expect(canceled, store.StateDone, "", "")

	b.expect(stopped, store.StateAttention, "environment-stopped", "staging")
	b.expect(byHand, store.StateFailed, "not-from-ecr", "still names registry.uninett.no")

	b.until(broken, "production")
	_, err = b.enqueuer.Promote(t.Context(), b.order(), b.project(broken))
	b.must(err)
	b.expect(broken, store.StateAttention, "script-failure", "there-is-no-such-file")
	if n := b.runs(broken, "production"); n != 1 {
		t.Errorf("%s: production was played %d times, want once", broken, n)
	}
}

// workload returns the one workload of a project.
func (b *bench) workload(path string) paas.Workload {
	b.Helper()
	all := b.world.PaaS.Workloads(strings.ReplaceAll(path, "/", "-"))
	if len(all) != 1 {
		b.Fatalf("%s has %d workloads, want 1", path, len(all))
	}
	return all[0]
}
