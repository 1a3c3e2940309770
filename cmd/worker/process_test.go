package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"gitlab.sikt.no/platon/ecrferry/internal/jobs"
	"gitlab.sikt.no/platon/ecrferry/internal/postgres/postgrestest"
	"gitlab.sikt.no/platon/ecrferry/internal/sandbox"
	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/samples"
	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/skopeotest"
	"gitlab.sikt.no/platon/ecrferry/internal/store"
)

// TestKilledWorker kills a worker process in the middle of its work and starts
// another one, which has to bring every project to its end without doing
// anything twice. Then skopeo, which knows nothing of us, reads back what was
// copied.
func TestKilledWorker(t *testing.T) {
	ctx := t.Context()
	world, err := sandbox.Start(sandbox.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { world.Close() })
	all, err := samples.All()
	if err != nil {
		t.Fatal(err)
	}
	var chosen []samples.Sample
	for _, s := range all {
		switch s.Name {
		case "suffix-images", "slash-images", "moved", "one-image", "manual-production":
			chosen = append(chosen, s)
		}
	}
	if err := world.Seed(ctx, chosen); err != nil {
		t.Fatal(err)
	}
	db := postgrestest.Open(t)
	st := store.New(db.Pool)
	worker := build(t)
	env := environment(t, world, db.URL)

	inserter, err := jobs.NewInserter(db.Pool, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	enqueuer := &jobs.Enqueuer{Store: st, River: inserter}
	order := jobs.Order{Actor: "tester", Policy: jobs.Policy{Delivery: "push", Production: "wait", Images: "in-use,newest=10"}}
	if _, err := enqueuer.All(ctx, order, jobs.RunSelection{}); err != nil {
		t.Fatal(err)
	}

	first := start(t, worker, env)
	await(t, "a copy to be under way", 3*time.Minute, func() bool {
		var n int
		err := db.Pool.QueryRow(ctx, `SELECT count(*) FROM ferry.steps WHERE outcome = 'running' AND name IN ('copy', 'rewrite')`).Scan(&n)
		return err == nil && n > 0
	})
	if err := first.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	first.Wait()
	killed := time.Now()

	second := start(t, worker, env)
	var rows []store.Status
	await(t, "every project to be at its end", 3*time.Minute, func() bool {
		if rows, err = st.Status(ctx, store.StatusFilter{}); err != nil {
			return false
		}
		for _, r := range rows {
			if r.State == store.StateQueued || r.State == store.StateRunning || r.State == store.StateWaiting && r.Reason != "production" {
				return false
			}
		}
		return len(rows) > 0
	})
	t.Logf("from the kill to the end of everything: %v", time.Since(killed).Round(time.Second))
	for _, s := range chosen {
		for _, r := range rows {
			if r.Path == s.FinalPath() && (string(r.State) != s.Expect.State || r.Reason != s.Expect.Reason) {
				t.Errorf("%s: %s %q, want %s %q: %s", r.Path, r.State, r.Reason, s.Expect.State, s.Expect.Reason, r.Why)
			}
		}
	}
	var lost int
	if err := db.Pool.QueryRow(ctx, `SELECT count(*) FROM ferry.steps WHERE outcome = 'lost'`).Scan(&lost); err != nil || lost == 0 {
		t.Errorf("%d tries are marked as lost, %v; want those that were running at the kill", lost, err)
	}
	for _, s := range chosen {
		messages, err := world.GitLab.Messages(s.FinalPath(), s.Branch)
		if err != nil {
			t.Fatal(err)
		}
		ours := 0
		for _, m := range messages {
			ours += strings.Count(m, "Ecrferry-Migration:")
		}
		if ours > 1 {
			t.Errorf("%s has %d commits of ours", s.FinalPath(), ours)
		}
	}

	if err := second.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := second.Wait(); err != nil {
		t.Errorf("the worker did not stop in good order: %v", err)
	}
	t.Run("skopeo", func(t *testing.T) { witness(t, world, st, rows) })
}

// witness compares every copied tag with its source through skopeo.
func witness(t *testing.T, world *sandbox.World, st *store.Store, rows []store.Status) {
	skopeo := skopeotest.Find(t)
	raw := func(url, user, password, image string) string {
		t.Helper()
		host := strings.TrimPrefix(url, "http://")
		out, err := exec.CommandContext(t.Context(), skopeo, "inspect", "--raw", "--tls-verify=false",
			"--creds", user+":"+password, "docker://"+host+"/"+image).Output()
		if err != nil {
			t.Errorf("skopeo inspect %s: %v", image, err)
			return ""
		}
		return fmt.Sprintf("sha256:%x", sha256.Sum256(out))
	}
	oldUser, oldPassword := world.Old.Worker()
	newUser, newPassword := world.ECR.KubeletToken()
	compared := 0
	for _, r := range rows {
		images, err := st.Images(t.Context(), r.MigrationID)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range images {
			if i.State != store.ImageCopied && i.State != store.ImagePresent || i.TargetTag == "" {
				continue
			}
			source := raw(world.Old.URL, oldUser, oldPassword, i.SourceRepository+":"+i.SourceTag)
			target := raw(world.ECR.URL, newUser, newPassword, i.TargetRepository+":"+i.TargetTag)
			if source == "" || source != target || source != i.SourceDigest {
				t.Errorf("%s:%s is %s, its copy %s is %s, our row says %s", i.SourceRepository, i.SourceTag, source, i.TargetTag, target, i.SourceDigest)
			}
			compared++
		}
	}
	if compared < 8 {
		t.Errorf("only %d tags were compared", compared)
	}
	t.Logf("%d copied tags compared with the old registry through skopeo", compared)
}

func build(t *testing.T) string {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "worker")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", bin, ".").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return bin
}

func environment(t *testing.T, world *sandbox.World, database string) []string {
	t.Helper()
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(kubeconfig, world.PaaS.Kubeconfig(), 0o600); err != nil {
		t.Fatal(err)
	}
	env := []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "DATABASE_URL=" + database,
		"ECRFERRY_POLL=100ms", "ECRFERRY_POLL_MAX=1s", "ECRFERRY_PIPELINE_APPEARS=5s", "ECRFERRY_LOG_LEVEL=WARN",
	}
	for k, v := range world.Env(kubeconfig) {
		env = append(env, k+"="+v)
	}
	return env
}

// start runs a worker process and waits until it is ready.
func start(t *testing.T, bin string, env []string) *exec.Cmd {
	t.Helper()
	address := "127.0.0.1:" + freePort(t)
	cmd := exec.CommandContext(t.Context(), bin)
	cmd.Env = append(env, "ECRFERRY_HTTP_ADDR="+address)
	cmd.Stdout, cmd.Stderr = t.Output(), t.Output()
	cmd.WaitDelay = time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	await(t, "the worker to be ready", 3*time.Minute, func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/readyz", nil)
		if err != nil {
			return false
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
	return cmd
}

func await(t *testing.T, what string, patience time.Duration, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(30 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited %v for %s", patience, what)
		}
	}
}
