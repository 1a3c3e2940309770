package assembly_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/jackc/pgx/v5/pgxpool"

	imagecopy "gitlab.sikt.no/platon/ecrferry/internal/copy"
	"gitlab.sikt.no/platon/ecrferry/internal/ecr"
	"gitlab.sikt.no/platon/ecrferry/internal/fault"
	"gitlab.sikt.no/platon/ecrferry/internal/pace"
	"gitlab.sikt.no/platon/ecrferry/internal/postgres/postgrestest"
	"gitlab.sikt.no/platon/ecrferry/internal/registry"
	standin "gitlab.sikt.no/platon/ecrferry/internal/sandbox/ecr"
	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/oci"
	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/oldregistry"
	"gitlab.sikt.no/platon/ecrferry/internal/store"
)

// fleet is several workers, each with clients and database connections of its
// own, between one old registry and one ECR with the quotas that are published.
type fleet struct {
	*testing.T
	old     *oldregistry.Server
	aws     *standin.Server
	pool    *pgxpool.Pool
	refused atomic.Int64
}

// manifests of each project: all on the same blobs, so that they are ready at once.
const manifests = 22

func newFleet(t *testing.T, workers int, rates map[string]standin.Rate) *fleet {
	t.Helper()
	f := &fleet{T: t, pool: postgrestest.New(t)}
	var err error
	if f.old, err = oldregistry.Start(oldregistry.Options{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.old.Close() })
	if f.aws, err = standin.Start(standin.Options{Rates: rates}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.aws.Close() })
	for n := range workers {
		project := fmt.Sprint("group/p", n)
		if _, err := f.aws.CreateRepository(project); err != nil {
			t.Fatal(err)
		}
		user, password := f.old.Pipeline(project)
		remote := oci.Remote{
			Locate:      func(string) (string, bool) { return f.old.URL, true },
			Credentials: func(string) (string, string, bool) { return user, password, true },
		}
		for i := range manifests {
			image := oci.Build(oci.Spec{Annotations: map[string]string{"n": fmt.Sprint(i)}})
			if err := remote.Push(t.Context(), f.old.Name, project, fmt.Sprint("t", i), image); err != nil {
				t.Fatal(err)
			}
		}
	}
	return f
}

// engine is that of one worker process, with connections of its own.
func (f *fleet) engine(quota float64) *imagecopy.Engine {
	f.Helper()
	pool, err := pgxpool.NewWithConfig(f.Context(), f.pool.Config())
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(pool.Close)
	id, secret := f.aws.WorkerKey()
	limits := pace.ECR()
	limits.Pacers = map[string]pace.Pacer{"PutImage": pace.NewShared(store.New(pool).Pace("PutImage", quota), quota)}
	api, err := ecr.New(f.Context(), ecr.Options{Region: "eu-north-1", Endpoint: f.aws.URL, Limits: pace.New(limits), Credentials: credentials.NewStaticCredentialsProvider(id, secret, "")})
	if err != nil {
		f.Fatal(err)
	}
	user, password := f.old.Worker()
	source, err := registry.New(registry.Options{Name: f.old.Name, URL: f.old.URL, User: user, Password: password})
	if err != nil {
		f.Fatal(err)
	}
	door, err := registry.New(registry.Options{
		Name: f.aws.Registry, URL: f.aws.URL, Credentials: api.Credentials, Refused: api.Refused, Limits: api.Limits(),
		Observe: func(_, _ string, status int, _ time.Duration) {
			if status == 429 {
				f.refused.Add(1)
			}
		},
	})
	if err != nil {
		f.Fatal(err)
	}
	return imagecopy.New(imagecopy.Options{Source: source, Target: door, ECR: api})
}

// copy lets all workers copy at once, and answers with how long that took.
func (f *fleet) copy(workers int, quota float64) time.Duration {
	f.Helper()
	var plans []imagecopy.Plan
	var engines []*imagecopy.Engine
	for n := range workers {
		e := f.engine(quota)
		project := fmt.Sprint("group/p", n)
		plan, err := e.Plan(f.Context(), imagecopy.Request{Sources: []imagecopy.Source{{Repository: project}}, Target: project, Policy: imagecopy.Policy{All: true}})
		if err != nil || plan.Forecast.Manifests != manifests {
			f.Fatal(err, plan.Forecast)
		}
		plans, engines = append(plans, plan), append(engines, e)
	}
	start := time.Now()
	var wait sync.WaitGroup
	for n := range engines {
		wait.Go(func() {
			if err := engines[n].Execute(f.Context(), plans[n], nil); err != nil {
				f.Error(err)
			}
		})
	}
	wait.Wait()
	took := time.Since(start)
	for n := range workers {
		if held := len(f.aws.Tags(fmt.Sprint("group/p", n))); held != manifests {
			f.Errorf("worker %d: %d of %d tags", n, held, manifests)
		}
	}
	return took
}

func TestWorkersShareTheQuota(t *testing.T) {
	t.Parallel()
	const workers = 2
	f := newFleet(t, workers, nil)
	took := f.copy(workers, 10)
	// Side by side at the full quota each would be refused again and again; the
	// stand-in lets ten through at once, which forgives an early request.
	if n := f.refused.Load(); n > 0 {
		t.Errorf("%d writes were refused", n)
	}
	if least := (workers*manifests - 10) * time.Second / 10; took < least {
		t.Errorf("%d writes in %v are more than the quota", workers*manifests, took)
	}
	var refusals, leases int64
	if err := f.pool.QueryRow(t.Context(), `SELECT refusals, (SELECT count(*) FROM ferry.paces) FROM ferry.paces WHERE action = 'PutImage'`).Scan(&refusals, &leases); err != nil || refusals != 0 || leases != 1 {
		t.Error(refusals, leases, err)
	}
}

func TestWorkersSlowDownTogether(t *testing.T) {
	t.Parallel()
	const workers = 2
	// Others take their part of the quota: ours is less than we think.
	f := newFleet(t, workers, map[string]standin.Rate{"PutImage": {PerSecond: 30, Burst: 1}})
	took := f.copy(workers, 100)
	t.Logf("took %v, %d refused", took, f.refused.Load())
	if f.refused.Load() == 0 {
		t.Error("the quota was never met: this test shows nothing")
	}
	var rate float64
	var refusals int
	if err := f.pool.QueryRow(t.Context(), `SELECT rate, refusals FROM ferry.paces WHERE action = 'PutImage'`).Scan(&rate, &refusals); err != nil || refusals == 0 || rate >= 100 {
		t.Errorf("rate %.1f after %d refusals, %v", rate, refusals, err)
	}
}

// TestLeasesDoNotOverlap takes leases from many goroutines: the places of one
// begin where those of another end.
func TestLeasesDoNotOverlap(t *testing.T) {
	t.Parallel()
	line := store.New(postgrestest.New(t)).Pace("PutImage", 1000)
	ctx := t.Context()
	var mu sync.Mutex
	var wait sync.WaitGroup
	var latest time.Duration
	start := time.Now()
	for range 8 {
		wait.Go(func() {
			for range 5 {
				in, rate, _, ok, err := line.Lease(ctx, 50, 50, time.Hour)
				if err != nil || !ok || rate != 1000 {
					t.Error(in, rate, ok, err)
					return
				}
				mu.Lock()
				latest = max(latest, time.Since(start)+in)
				mu.Unlock()
			}
		})
	}
	wait.Wait()
	// 40 leases of 50 ms, the last of which begins after 39.
	if latest < 39*50*time.Millisecond {
		t.Errorf("the last of 40 leases begins after %v", latest)
	}
	for range 2 { // the second was on its way with the first
		if err := line.Refused(ctx, 0, time.Minute); err != nil {
			t.Fatal(err)
		}
	}
	in, rate, refusals, ok, err := line.Lease(ctx, 1, 0, 30*time.Second)
	if err != nil || ok || in < 50*time.Second || rate != 700 || refusals != 1 {
		t.Errorf("after a refusal: in %v at %v a second after %d refusals, %v, %v", in, rate, refusals, ok, err)
	}
	in, rate, refusals, ok, err = line.Lease(ctx, 1, 10, 2*time.Minute)
	if err != nil || !ok || in < 50*time.Second || rate != 800 || refusals != 1 {
		t.Errorf("waiting for it: in %v at %v a second after %d refusals, %v, %v", in, rate, refusals, ok, err)
	}
	// Refused within the pause of somebody else's refusal, but by a lease that knew
	// of it: the rate is still too high.
	if err := line.Refused(ctx, refusals, time.Second); err != nil {
		t.Fatal(err)
	}
	if _, rate, _, _, err = line.Lease(ctx, 1, 0, 2*time.Minute); err != nil || rate != 560 {
		t.Errorf("after another refusal: %v a second, %v", rate, err)
	}
}

// TestALongWaitIsGivenBack: who holds a worker must not sleep for minutes.
func TestALongWaitIsGivenBack(t *testing.T) {
	t.Parallel()
	line := store.New(postgrestest.New(t)).Pace("PutImage", 10)
	p := pace.NewShared(line, 10)
	const hold = 30 * time.Second
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := p.Wait(ctx, hold); err != nil {
		t.Fatal(err)
	}
	p.Refused(time.Now(), 5*time.Minute)
	for _, p := range []pace.Pacer{p, pace.NewShared(line, 10)} { // another process hears of it
		limits := pace.ECR()
		limits.Pacers = map[string]pace.Pacer{"PutImage": p}
		err := pace.New(limits).Of("PutImage").Do(ctx, func() error { t.Error("was sent"); return nil })
		if !errors.Is(err, pace.ErrThrottled) || fault.RetryAfter(err) < 4*time.Minute || fault.ClassOf(err) != fault.Transient || fault.ReasonOf(err) != "ecr-throttled" {
			t.Errorf("%v, again in %v", err, fault.RetryAfter(err))
		}
	}
}
