package dashboard_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"gitlab.sikt.no/platon/ecrferry/internal/store"
)

// end is a way in which a project's attempt may stand, and how often in a hundred.
type end struct {
	share  int
	state  store.State
	step   store.StepName
	reason string
	class  string
	why    string
	next   string
}

// ends are those of a fleet in the middle of its migration.
var ends = []end{
	{46, store.StateDone, store.StepDone, "", "", "staging and production run from ECR: 2 workloads, 4 pods, digests equal", "nothing to do"},
	{5, store.StateExceptions, store.StepDone, "", "", "runs from ECR; 3 images were left behind", "read the exceptions"},
	{4, store.StateSkipped, store.StepDone, "archived", "", "the project is archived: nothing is written to it and no pipeline runs", "nothing to do"},
	{7, store.StateWaiting, store.StepVerify, "production", "", "staging is proven; production waits for somebody to play deploy:production", "play production, or enqueue promote"},
	{2, store.StateWaiting, store.StepPipeline, "merge-request", "", "waiting for merge request !17", "merge it"},
	{2, store.StateRunning, store.StepCopy, "", "", "", ""},
	{3, store.StateQueued, store.StepDiscover, "", "", "", ""},
	{5, store.StateAttention, store.StepDiscover, "already-broken", "attention", "the pipeline of main was red before the migration began: job test failed", "repair the pipeline, then enqueue the project again"},
	{3, store.StateAttention, store.StepRewrite, "unsafe-variable", "attention", ".gitlab-ci.yml:41: the image name is put together from a variable that a script sets: sha256:fea5c960c4a4c8c738a9964c79245d90b90a9db37128727c38031faac8c2a6c2", "write the image name in full"},
	{2, store.StateFailed, store.StepCopy, "ecr-throttled", "transient", "ECR refused PutImage for an hour: Rate exceeded", "the cause lasted through every try; when it is gone, enqueue the project again"},
	{2, store.StateFailed, store.StepPipeline, "push-not-authorized", "permanent", "job build failed: not authorized to perform: ecr:InitiateLayerUpload on resource", "push only to the project's own repository"},
	{19, store.StateNone, "", "", "", "", ""},
}

var (
	groups = []string{"kurs", "forsk/data", "feide", "platon", "studier/opptak", "felles", "nva", "bibliotek"}
	nouns  = strings.Fields("skjema kalender katalog portal varsel arkiv rapport innlogging eksport import bilde kart sok profil oversikt melding statistikk rutine lager avtale")
	parts  = strings.Fields("api web worker proxy job admin")
)

// seed fills a store with n projects as a migration of two weeks leaves them.
// The same n gives the same fleet.
func seed(t testing.TB, pool *pgxpool.Pool, n int) {
	t.Helper()
	ctx := t.Context()
	st := store.New(pool)
	r := rand.New(rand.NewPCG(7, uint64(n)))
	var ps []store.Project
	for i := range n {
		path := fmt.Sprintf("%s/%s-%s", groups[r.IntN(len(groups))], nouns[i%len(nouns)], parts[r.IntN(len(parts))])
		if i >= len(nouns) {
			path += fmt.Sprintf("-%d", i/len(nouns))
		}
		ps = append(ps, store.Project{ID: int64(i + 1), Path: path, Name: path, DefaultBranch: "main", WebURL: "https://gitlab.example.org/" + path, CIEnabled: true})
	}
	must(t, st.UpsertProjects(ctx, ps))
	_, err := st.WorkerAlive(ctx, "worker-1")
	must(t, err)
	var runs []int64
	for _, wave := range []string{"canary", "2"} {
		run, err := st.CreateRun(ctx, store.Run{Kind: store.KindAll, Actor: "ola@drift", Note: "agreed with the group owners", Wave: wave, Budget: store.Budget{Share: .1, Least: 20}})
		must(t, err)
		runs = append(runs, run.ID)
	}
	for i, p := range ps {
		e := pick(r)
		if e.state == store.StateNone {
			continue
		}
		run := runs[min(i/max(1, n/10), 1)]
		must(t, st.InTx(ctx, func(ctx context.Context, tx *store.Store) error { return attempt(ctx, tx, p, e, run, r, i) }))
	}
	spread(t, pool)
}

func pick(r *rand.Rand) end {
	at := r.IntN(100)
	for _, e := range ends {
		if at -= e.share; at < 0 {
			return e
		}
	}
	panic("the shares are less than a hundred")
}

// attempt writes one attempt as the runner would.
func attempt(ctx context.Context, st *store.Store, p store.Project, e end, run int64, r *rand.Rand, i int) error {
	m, err := st.CreateMigration(ctx, store.NewMigration{ProjectID: p.ID, RunID: run, Origin: store.KindAll, Policy: []byte(`{"production":"wait"}`)})
	if err != nil {
		return err
	}
	if err := st.AddEvents(ctx, store.Event{Actor: "ola@drift", Kind: "enqueue-all", MigrationID: m.ID, Detail: "wave 2"}); err != nil {
		return err
	}
	m.Repository, m.RepositoryURI = p.Path, "123456789012.dkr.ecr.eu-north-1.amazonaws.com/"+p.Path
	m.CommitSHA, m.BaseSHA = fmt.Sprintf("%040x", r.Uint64()), fmt.Sprintf("%040x", r.Uint64())
	m.PipelineID = int64(9000 + i)
	m.PipelineURL = fmt.Sprintf("%s/-/pipelines/%d", p.WebURL, m.PipelineID)
	for _, step := range store.StepOrder {
		if e.state == store.StateSkipped && step != store.StepDiscover || e.state == store.StateQueued {
			break
		}
		last := step == e.step
		outcome := store.OutcomeDone
		if last {
			outcome = map[store.State]store.Outcome{
				store.StateFailed: store.OutcomeFailed, store.StateAttention: store.OutcomeAttention, store.StateWaiting: store.OutcomeWaiting, store.StateRunning: store.OutcomeRunning,
			}[e.state]
		}
		try, err := st.StartStep(ctx, store.NewStep{MigrationID: m.ID, Name: step, JobID: int64(100*i) + int64(len(step)), Worker: "worker-1"})
		if err != nil {
			return err
		}
		if outcome != store.OutcomeRunning {
			f := store.Finish{Outcome: outcome}
			if last {
				f.Reason, f.ErrorClass = e.reason, e.class
				if outcome == store.OutcomeFailed {
					f.Error = e.why
				}
			}
			if _, err := st.FinishStep(ctx, try.ID, f); err != nil {
				return err
			}
		}
		if step == store.StepCopy {
			if err := st.SaveImages(ctx, m.ID, images(p, r)); err != nil {
				return err
			}
		}
		if step == store.StepRewrite {
			if err := st.ReplaceInverses(ctx, m.ID, []store.Inverse{change(p)}); err != nil {
				return err
			}
			if err := st.ReplaceFindings(ctx, m.ID, step, findings(e)); err != nil {
				return err
			}
		}
		if step == store.StepVerify {
			if err := st.ReplaceEvidence(ctx, m.ID, step, []store.Evidence{
				{Name: "pipeline", Subject: fmt.Sprint(m.PipelineID), Result: store.Yes, Detail: "passed for commit " + m.CommitSHA[:8]},
				{Name: "running", Environment: "staging", Subject: "deployment/web", Result: store.Yes, Detail: "2 of 2 pods run the digest that ECR holds"},
				{Name: "rollout", Environment: "production", Subject: "deployment/web", Result: store.Unknown, Detail: "nobody has played deploy:production"},
			}); err != nil {
				return err
			}
		}
		if last {
			break
		}
	}
	m.State, m.Step, m.Reason, m.ErrorClass, m.Message, m.NextAction = e.state, e.step, e.reason, e.class, e.why, e.next
	if e.state == store.StateWaiting {
		m.WaitingFor = map[string]string{"production": "somebody to play deploy:production", "merge-request": "merge request !17"}[e.reason]
		look := time.Now().Add(40 * time.Minute)
		m.NextLookAt = &look
		if e.reason == "merge-request" {
			m.MergeRequestIID, m.MergeRequestURL = 17, p.WebURL+"/-/merge_requests/17"
		}
	}
	_, err = st.SaveMigration(ctx, m)
	return err
}

// images are those of a project: some copied, some left out, one taken.
func images(p store.Project, r *rand.Rand) []store.Image {
	var out []store.Image
	digest := func() string {
		return fmt.Sprintf("sha256:%016x%016x%016x%016x", r.Uint64(), r.Uint64(), r.Uint64(), r.Uint64())
	}
	for _, name := range []string{"", "api"} {
		for v := range 4 + r.IntN(6) {
			i := store.Image{
				SourceRepository: "registry.uninett.no/" + p.Path, SourceTag: fmt.Sprintf("1.%d.%d", v, r.IntN(9)), SourceDigest: digest(), Name: name,
				TargetRepository: p.Path, MediaType: "application/vnd.oci.image.index.v1+json", Bytes: 20e6 + r.Int64N(400e6), State: store.ImageCopied,
			}
			i.TargetTag = i.SourceTag
			if name != "" {
				i.SourceRepository += "/" + name
				i.TargetTag = name + "-" + i.SourceTag
			}
			i.TargetDigest = i.SourceDigest
			switch r.IntN(8) {
			case 0:
				i.State, i.Reason, i.TargetDigest = store.ImageLeftOut, "not in use and not among the newest 10", ""
			case 1:
				i.State = store.ImagePresent
			case 2:
				if r.IntN(6) == 0 {
					i.State, i.Reason, i.TargetDigest = store.ImageConflict, "ECR holds another digest under this tag", digest()
				}
			}
			out = append(out, i)
		}
	}
	return out
}

func findings(e end) []store.Finding {
	fs := []store.Finding{{
		Code: "moving-tag", Severity: store.Warning, File: ".gitlab-ci.yml", Line: 12, Column: 5, Text: "docker push $CI_REGISTRY_IMAGE:latest",
		Message: "latest moves, and in ECR a tag can be pushed once", Remedy: "tag with $CI_COMMIT_SHORT_SHA, and let deploy name that", Owner: "project",
	}}
	if e.reason == "unsafe-variable" {
		fs = append(fs, store.Finding{
			Code: e.reason, Severity: store.Blocking, File: ".gitlab-ci.yml", Line: 41, Column: 9, Text: `image: "$BASE/$NAME"`,
			Message: "the image name is put together from a variable that a script sets", Remedy: "write the image name in full", Owner: "project",
		})
	}
	return fs
}

func change(p store.Project) store.Inverse {
	const before = `# Bygger og deployer
stages: [build, deploy]

variables:
  IMAGE: "registry.uninett.no/PATH/api"

build:
  stage: build
  image: docker:27
  script:
    - docker login -u "$CI_REGISTRY_USER" -p "$CI_REGISTRY_PASSWORD" $CI_REGISTRY
    - docker build -t ${IMAGE}:${CI_COMMIT_SHORT_SHA} .
    - docker push ${IMAGE}:${CI_COMMIT_SHORT_SHA}

deploy:
  stage: deploy
  script:
    - 'deploy --image "${IMAGE}:${CI_COMMIT_SHORT_SHA}"'
`
	old := strings.ReplaceAll(before, "PATH", p.Path)
	fresh := strings.NewReplacer(
		`IMAGE: "registry.uninett.no/`+p.Path+`/api"`, `IMAGE: "${CI_REGISTRY_IMAGE}"`,
		"${IMAGE}:${CI_COMMIT_SHORT_SHA}", "${IMAGE}:api-${CI_COMMIT_SHORT_SHA}",
		`    - docker login -u "$CI_REGISTRY_USER" -p "$CI_REGISTRY_PASSWORD" $CI_REGISTRY`+"\n", "",
	).Replace(old)
	return store.Inverse{Path: ".gitlab-ci.yml", Before: []byte(old), After: []byte(fresh)}
}

// spread gives the attempts times over the last ten days, growing denser, for
// everything is written now.
func spread(t testing.TB, pool *pgxpool.Pool) {
	t.Helper()
	conn, err := pool.Acquire(t.Context()) // the temporary table is one connection's
	must(t, err)
	defer conn.Release()
	for _, sql := range []string{
		`CREATE TEMP TABLE shift AS
		 SELECT id, interval '10 days' * (1 - power((row_number() OVER (ORDER BY md5(id::text)))::float / count(*) OVER (), 0.7)) AS back
		   FROM ferry.migrations`,
		`UPDATE ferry.migrations m SET created_at = created_at - back - interval '40 min', started_at = started_at - back - interval '39 min',
		        since = since - back, updated_at = updated_at - back, finished_at = finished_at - back FROM shift s WHERE s.id = m.id`,
		// One step after the other, within those forty minutes.
		`UPDATE ferry.steps p
		    SET started_at = started_at - back - interval '39 min' + n * interval '5 min',
		        finished_at = finished_at - back - interval '39 min' + n * interval '5 min' + interval '4 min'
		   FROM shift s, (SELECT id, row_number() OVER (PARTITION BY migration_id ORDER BY id) - 1 AS n FROM ferry.steps) o
		  WHERE s.id = p.migration_id AND o.id = p.id AND p.outcome <> 'running'`,
		`UPDATE ferry.images i SET updated_at = updated_at - back FROM shift s WHERE s.id = i.migration_id`,
		`INSERT INTO ferry.pipeline_starts (migration_id, cause) SELECT id, 'commit:' || commit_sha FROM ferry.migrations ORDER BY id LIMIT 23`,
		`DROP TABLE shift`,
		`ANALYZE`,
	} {
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatalf("%v\n%s", err, sql)
		}
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
