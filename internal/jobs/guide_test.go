package jobs_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"gitlab.sikt.no/platon/ecrferry/internal/diagnose"
	"gitlab.sikt.no/platon/ecrferry/internal/jobs"
	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/samples"
	"gitlab.sikt.no/platon/ecrferry/internal/store"
	"gitlab.sikt.no/platon/ecrferry/reports"
)

// trouble is something that goes wrong in a project after its migration was
// delivered: its owners push, and what they push, or what happens around them,
// fails in the systems' own words.
type trouble struct {
	// job is appended to the CI file; it replaces the file if whole is set.
	job   string
	whole bool
	// moves transfers the project to another group before the push.
	moves bool

	state  store.State
	cause  diagnose.Cause
	owner  diagnose.Owner
	retry  diagnose.Retry
	words  string // of the evidence, as the system said them
	remedy string // part of what the operator is told to do
}

// troubles are the failures of the platform's migration guide, and those that
// users meet beside them.
var troubles = map[string]trouble{
	"job-image": {
		job:   "in-the-image:\n  stage: test\n  image: $CI_REGISTRY_IMAGE:$CI_REGISTRY_TAG\n  script: [\"true\"]\n",
		state: store.StateFailed, cause: diagnose.NoBasicAuth, owner: diagnose.Us, retry: diagnose.AfterRemedy,
		words: "no basic auth credentials", remedy: "docker run",
	},
	"other-name": {
		job:   "api:\n  extends: .docker\n  stage: test\n  script:\n    - docker build -t $CI_REGISTRY_IMAGE-api:1 .\n    - docker push $CI_REGISTRY_IMAGE-api:1\n",
		state: store.StateFailed, cause: diagnose.PushNotAuthorized, owner: diagnose.Us, retry: diagnose.AfterRemedy,
		words: "is not authorized to perform: ecr:InitiateLayerUpload", remedy: "$CI_REGISTRY_IMAGE:api-$CI_REGISTRY_TAG",
	},
	"same-tag": {
		job:   "again:\n  extends: .docker\n  stage: test\n  script:\n    - echo 1 > one\n    - docker build -t $CI_REGISTRY_IMAGE:fixed .\n    - docker push $CI_REGISTRY_IMAGE:fixed\n    - echo 2 > two\n    - docker build -t $CI_REGISTRY_IMAGE:fixed .\n    - docker push $CI_REGISTRY_IMAGE:fixed\n",
		state: store.StateFailed, cause: diagnose.TagImmutable, owner: diagnose.Us, retry: diagnose.AfterRemedy,
		words: "cannot be overwritten because the tag is immutable", remedy: "new commit",
	},
	"expired": {
		job:   "use:\n  extends: .docker\n  stage: test\n  script:\n    - docker run --rm $CI_REGISTRY_IMAGE:long-gone true\n",
		state: store.StateFailed, cause: diagnose.ManifestUnknown, owner: diagnose.Us, retry: diagnose.AfterRemedy,
		words: "long-gone", remedy: "same pipeline",
	},
	"no-repository": {
		job:   "last:\n  extends: .docker\n  stage: test\n  script:\n    - docker build -t $CI_REGISTRY_IMAGE:last-$CI_REGISTRY_TAG .\n    - docker push $CI_REGISTRY_IMAGE:last-$CI_REGISTRY_TAG\n",
		state: store.StateFailed, cause: diagnose.RepositoryMissing, owner: diagnose.Platform, retry: diagnose.AfterRemedy,
		words: "The repository with name 'plage/no-repository' does not exist in the registry", remedy: "Update configuration",
	},
	"moved": {
		job: "# moved\n", moves: true,
		state: store.StateFailed, cause: diagnose.ProjectMoved, owner: diagnose.Platform, retry: diagnose.AfterRemedy,
		words: "AssumeRoleWithWebIdentity", remedy: "Update configuration",
	},
	"throttled": {
		job:   "# throttled\n",
		state: store.StateFailed, cause: diagnose.RateLimited, owner: diagnose.AWS, retry: diagnose.Later,
		words: "toomanyrequests", remedy: "later",
	},
	"runner": {
		job:   "shaky:\n  stage: test\n  script: [\"true\"]\n",
		state: store.StateFailed, cause: diagnose.RunnerFailure, owner: diagnose.GitLab, retry: diagnose.JobOnce,
		words: "system failure", remedy: "the people who run the runners",
	},
	"cluster": {
		job:   "deploy-lost:\n  extends: .staging\n  stage: staging\n  variables: {CI_REGISTRY_TAG: never-pushed}\n  script: [deploy deployment.yaml]\n",
		state: store.StateFailed, cause: diagnose.ImagePull, owner: diagnose.Us, retry: diagnose.AfterRemedy,
		words: "never-pushed", remedy: "pushed exactly this tag",
	},
	"yaml": {
		job: "stages: [build]\nbroken:\n  stage: nowhere\n  script: [\"true\"]\n", whole: true,
		state: store.StateAttention, cause: diagnose.YAMLError, owner: diagnose.Project, retry: diagnose.AfterRemedy,
		words: "nowhere", remedy: "repair the CI configuration",
	},
	"own-login": {
		job:   "login:\n  image: docker:27\n  services: [\"docker:27-dind\"]\n  stage: test\n  script:\n    - docker login -u robot -p hunter2hunter2 $CI_REGISTRY\n",
		state: store.StateFailed, cause: diagnose.RegistryLogin, owner: diagnose.Us, retry: diagnose.AfterRemedy,
		words: "400 Bad Request", remedy: "template",
	},
	"script": {
		job:   "own-test:\n  stage: test\n  script: [test -f there-is-no-such-file]\n",
		state: store.StateAttention, cause: diagnose.ScriptFailure, owner: diagnose.Project, retry: diagnose.Never,
		words: "there-is-no-such-file", remedy: "the project's people correct the job",
	},
	"foreign": {
		job:   "pull:\n  extends: .docker\n  stage: test\n  script:\n    - docker pull $CI_REGISTRY/plage/script:latest\n",
		state: store.StateAttention, cause: diagnose.PullNotAuthorized, owner: diagnose.Project, retry: diagnose.AfterRemedy,
		words: "is not authorized to perform: ecr:BatchGetImage", remedy: "GitLab Container Registry",
	},
}

// TestGuide provokes each failure of the platform's guide in a project of its
// own, and reads what the operator is told of it.
func TestGuide(t *testing.T) {
	t.Parallel()
	b := newBench(t, "one-image")
	ids := map[int64]string{}
	for name := range troubles {
		ids[b.variant("one-image", "plage/"+name, func(s *samples.Sample) { s.Pipeline = new(bool) })] = name
	}
	b.world.ECR.Inject(func(r *http.Request) (int, string, bool) {
		busy := strings.HasPrefix(r.URL.Path, "/v2/plage/throttled/") && r.Method == http.MethodPost
		return http.StatusTooManyRequests, `{"errors":[{"code":"TOOMANYREQUESTS","message":"Rate exceeded"}]}`, busy
	})
	var mu sync.Mutex
	broke := 0
	var gone sync.Once
	b.world.BreakRunner(func(path, job string) error {
		if job == "last" {
			// The repository goes while the pipeline that is followed runs.
			gone.Do(func() { b.loseRepository(path) })
		}
		if job != "shaky" {
			return nil
		}
		mu.Lock()
		defer mu.Unlock()
		broke++
		return errors.New("prepare environment: waiting for pod running: timed out waiting for pod to start")
	})
	done := map[int64]bool{}
	b.start(func(o *jobs.Options) {
		o.Crash = func(step store.StepName, m store.Migration) bool {
			name, ours := ids[m.ProjectID]
			mu.Lock()
			defer mu.Unlock()
			if !ours || step != store.StepRewrite || done[m.ProjectID] {
				return false
			}
			done[m.ProjectID] = true
			happen(b, "plage/"+name, troubles[name])
			return false
		}
	})
	b.all(false)
	for id, name := range ids {
		p, err := b.store.ProjectByID(t.Context(), id)
		b.must(err)
		told(b, p.Path, troubles[name])
	}
	mu.Lock()
	if broke != 2 {
		t.Errorf("the broken runner was given the job %d times, want twice: once more than at first", broke)
	}
	mu.Unlock()
	moveOn(b, "plage/moved", "nye/moved")
	repairOn(b, "plage/no-repository")
}

// loseRepository deletes a project's repository in ECR when its pipeline is
// being followed.
func (b *bench) loseRepository(path string) {
	b.await("the pipeline to be followed", time.Minute, func() (bool, string) {
		m, err := b.store.LatestMigration(b.Context(), b.project(path).ID)
		return err == nil && m.PipelineID != 0, fmt.Sprint(m.Step, err)
	})
	if there, err := b.world.ECR.DeleteRepository(path); !there || err != nil {
		b.Errorf("deleting the repository %s: %t, %v", path, there, err)
	}
}

// repairOn enqueues a project once more whose repository was gone: it is made
// anew, and a new pipeline fills it.
func repairOn(b *bench, path string) {
	b.Helper()
	_, err := b.enqueuer.Failed(b.Context(), b.order(), b.project(path), "")
	b.must(err)
	b.settle()
	if r := b.status(path); r.State != store.StateDone {
		b.Errorf("%s: %s %q: %s", path, r.State, r.Reason, r.Why)
		story(b, r)
	}
	if tags := b.world.ECR.Tags(path); len(tags) < 2 {
		b.Errorf("%s: the new repository holds %v", path, tags)
	}
}

// happen lets a project's owners push what fails.
func happen(b *bench, path string, x trouble) {
	if x.moves {
		former := path
		path = "nye/" + strings.TrimPrefix(path, "plage/")
		if err := b.world.GitLab.Transfer(former, path); err != nil {
			b.Error(err)
		}
	}
	b.push(path, "Change the pipeline", func(ci string) string {
		if x.whole {
			return x.job
		}
		return more(x.job)(ci)
	})
}

// told compares what the operator reads of a project with what went wrong.
func told(b *bench, path string, x trouble) {
	b.Helper()
	r := b.status(path)
	if r.State != x.state || r.Reason != string(x.cause) || !strings.Contains(r.Next, x.remedy) {
		b.Errorf("%s: %s %q: %s; next: %s; want %s %q and %q", path, r.State, r.Reason, r.Why, r.Next, x.state, x.cause, x.remedy)
		story(b, r)
		return
	}
	if !strings.Contains(r.Why, x.words) {
		b.Errorf("%s: %s; want the system's own words, %q", path, r.Why, x.words)
	}
	s, err := reports.GatherStory(b.Context(), b.store, path)
	b.must(err)
	for _, f := range s.Findings {
		if f.Code == "pipeline-"+string(x.cause) {
			if f.Owner != string(x.owner) || f.Retry != string(x.retry) || f.Remedy == "" || !strings.Contains(f.Text+f.Message, x.words) {
				b.Errorf("%s: finding %+v; want it to be %s's, retry %s, with %q", path, f, x.owner, x.retry, x.words)
			}
			if strings.Contains(f.Text+f.Message+r.Why, "hunter2") {
				b.Errorf("%s: a password is shown: %+v", path, f)
			}
			return
		}
	}
	b.Errorf("%s: no finding pipeline-%s in %+v", path, x.cause, s.Findings)
}

// moveOn enqueues the project that was moved once more: its configuration is
// updated for the new path, and it runs from the repository of that path.
func moveOn(b *bench, former, path string) {
	b.Helper()
	_, err := b.enqueuer.Failed(b.Context(), b.order(), b.project(former), "")
	b.must(err)
	b.settle()
	r := b.status(path)
	if r.State != store.StateDone {
		b.Errorf("%s: %s %q: %s", path, r.State, r.Reason, r.Why)
		story(b, r)
	}
	if !b.finding(r, "project-moved") {
		b.Errorf("%s: that it was moved is not told", path)
	}
	view, _ := b.world.GitLab.Project(path)
	for _, v := range view.Variables {
		if v.Key == "CI_REGISTRY_IMAGE" && v.Value != b.world.ECR.Registry+"/"+path {
			b.Errorf("%s: CI_REGISTRY_IMAGE is %s", path, v.Value)
		}
	}
	if len(b.world.ECR.Tags(path)) == 0 {
		b.Errorf("%s: nothing was pushed to its new repository", path)
	}
}
