package jobs_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gitlab.sikt.no/platon/ecrferry/internal/gitlab"
	"gitlab.sikt.no/platon/ecrferry/internal/jobs"
	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/ecr"
	"gitlab.sikt.no/platon/ecrferry/internal/store"
)

// put enqueues a project by itself, delivered and promoted as told.
func (b *bench) put(path string, id int64, policy func(*jobs.Policy)) {
	b.Helper()
	b.must(b.store.UpsertProjects(b.Context(), []store.Project{{ID: id, Path: path, CIEnabled: true}}))
	order := b.order()
	policy(&order.Policy)
	_, err := b.enqueuer.Project(b.Context(), order, b.project(path), "")
	b.must(err)
}

// until waits for a project's reason.
func (b *bench) until(path, reason string) store.Status {
	b.Helper()
	var r store.Status
	b.await(path+" to come to "+reason, time.Minute, func() (bool, string) {
		r = b.status(path)
		return r.Reason == reason && r.State != store.StateRunning, fmt.Sprintf("%s %q: %s", r.State, r.Reason, r.Why)
	})
	return r
}

// ended waits for a project's migration to end.
func (b *bench) ended(path string) store.Status {
	b.Helper()
	var r store.Status
	b.await(path+" to end", time.Minute, func() (bool, string) {
		r = b.status(path)
		return !r.State.Active(), fmt.Sprintf("%s %q: %s", r.State, r.Reason, r.Why)
	})
	return r
}

func (b *bench) expect(path string, state store.State, reason, says string) {
	b.Helper()
	if r := b.ended(path); r.State != state || r.Reason != reason || !strings.Contains(r.Why+" "+r.Next, says) {
		b.Errorf("%s: %s %q: %s; next %s; want %s %q with %q", path, r.State, r.Reason, r.Why, r.Next, state, reason, says)
		story(b, r)
	}
}

// TestPeopleAndMergeRequests lets people do to our merge requests what people
// do, each in a project of its own.
func TestPeopleAndMergeRequests(t *testing.T) {
	t.Parallel()
	b := newBench(t, "archived")
	const (
		closed   = "folk/lukket"    // closed, reopened later
		deleted  = "folk/slettet"   // its branch is deleted
		squashed = "folk/klemt"     // merged as one commit of another sha
		ffOnly   = "folk/fram"      // may only be merged by fast-forward, and main moves
		skipped  = "folk/hopp"      // merged with [skip ci]
		reverted = "folk/angret"    // merged and taken back at once
		direct   = "folk/direkte"   // the same change pushed to main by hand
		between  = "folk/imellom"   // merged between our look at main and our look at the merge request
		during   = "folk/underveis" // merged, and its branch gone, while we read that branch
		edited   = "folk/redigert"  // title and description edited by hand
		calm     = "folk/avbrutt"   // auto-merge is cancelled
	)
	ids := map[string]int64{}
	for _, path := range []string{closed, deleted, squashed, ffOnly, skipped, reverted, direct, between, during, edited} {
		ids[path] = b.variant("suffix-images", path, nil)
	}
	// The pipeline of a branch never ends, that of main does.
	ids[calm] = b.variant("suffix-images", calm, ciFile(func(ci string) string {
		return ci + "\nslow:\n  stage: build\n  tags: [no-such-runner]\n  rules: [{if: $CI_COMMIT_BRANCH != $CI_DEFAULT_BRANCH}]\n  script: [\"true\"]\n"
	}))
	b.must(b.world.GitLab.FastForward(ffOnly))
	var away atomic.Bool
	reads := fmt.Sprintf("/projects/%d/", ids[reverted])
	var armed, merged, mergedDuring atomic.Bool
	onBranch := fmt.Sprintf("/projects/%d/repository/files/", ids[during])
	list := fmt.Sprintf("/projects/%d/merge_requests", ids[between])
	b.world.GitLab.Inject(func(r *http.Request) (int, string, bool) {
		if armed.Load() && r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, list) && b.world.GitLab.Merge(between, 1, false, "") == nil {
			merged.Store(true)
		}
		if armed.Load() && strings.Contains(r.URL.Path, onBranch) && r.URL.Query().Get("ref") == forward && b.world.GitLab.Merge(during, 1, false, "") == nil {
			mergedDuring.Store(true)
		}
		return http.StatusBadGateway, "", away.Load() && strings.Contains(r.URL.Path, reads)
	})
	for path, id := range ids {
		b.put(path, id, func(p *jobs.Policy) {
			p.Delivery = "merge-request"
			if path == calm {
				p.Delivery = "merge-request+auto-merge"
			}
		})
	}
	// More pipelines at once than a quota of ten a second lets push.
	b.world.ECR.Raise("PutImage", ecr.Rate{PerSecond: 200, Burst: 200})
	b.start(nil)
	iid := map[string]int64{}
	for path := range ids {
		b.until(path, "merge-request")
		iid[path] = b.open(path, forward)
	}
	was := b.files(reverted, "main")
	merge := func(path string, squash bool, message string) {
		t.Helper()
		b.await("the merge request to be mergeable", time.Minute, func() (bool, string) {
			err := b.world.GitLab.Merge(path, iid[path], squash, message)
			return err == nil, fmt.Sprint(err)
		})
	}

	armed.Store(true)
	b.must(b.world.GitLab.CloseMergeRequest(closed, iid[closed]))
	b.must(b.world.GitLab.DeleteBranch(deleted, forward))
	merge(squashed, true, "")
	_, err := b.world.GitLab.PushFiles(ffOnly, "main", "Elsewhere", map[string]string{"NEWS.md": "new\n"})
	b.must(err)
	merge(skipped, false, "Merge it [skip ci]")
	away.Store(true)
	merge(reverted, false, "")
	_, err = b.world.GitLab.PushFiles(reverted, "main", "Revert it", was)
	b.must(err)
	away.Store(false)
	theirs := b.files(direct, forward)
	_, err = b.world.GitLab.PushFiles(direct, "main", "By hand", theirs)
	b.must(err)
	b.must(b.world.GitLab.EditMergeRequest(edited, iid[edited], func(_, text string) (string, string) {
		return "Our own title", "Please read.\n\n" + strings.Replace(text, "| before | after |", "| was | is |", 1) + "\n\nThanks."
	}))
	b.await("auto-merge to be set, and to be cancelled", time.Minute, func() (bool, string) {
		cancelled, err := b.world.GitLab.CancelAutoMerge(calm, iid[calm])
		return cancelled, fmt.Sprint(err)
	})

	b.expect(closed, store.StateAttention, "merge-request-closed", "closed the merge request")
	b.expect(deleted, store.StateAttention, "merge-request-closed", "reopen it")
	b.expect(squashed, store.StateDone, "", "")
	b.expect(skipped, store.StateDone, "", "")
	b.expect(reverted, store.StateAttention, "merge-request-reverted", "taken its change back")
	b.expect(direct, store.StateDone, "", "")
	b.expect(between, store.StateDone, "", "")
	b.expect(during, store.StateDone, "", "")
	if !merged.Load() || !mergedDuring.Load() {
		t.Errorf("%s or %s was not merged between two looks", between, during)
	}
	if view, _ := b.world.GitLab.Project(direct); view.MergeRequests[0].State != "closed" || !b.finding(b.status(direct), "merge-request-unneeded") {
		t.Errorf("%s: %+v, want the merge request closed and told of", direct, view.MergeRequests)
	}

	b.await("the description to be refreshed", time.Minute, func() (bool, string) {
		view, _ := b.world.GitLab.Project(edited)
		m := view.MergeRequests[0]
		return m.Title == "Our own title" && strings.HasPrefix(m.Description, "Please read.") && strings.HasSuffix(m.Description, "Thanks.") &&
			strings.Contains(m.Description, "| before | after |") && !strings.Contains(m.Description, "| was | is |"), m.Description
	})
	merge(edited, false, "")
	b.expect(edited, store.StateDone, "", "")

	b.await("the branch to be rebuilt on the new head", time.Minute, func() (bool, string) {
		news, err := b.world.GitLab.File(ffOnly, forward, "NEWS.md")
		return news == "new\n", fmt.Sprint(err)
	})
	merge(ffOnly, false, "")
	b.expect(ffOnly, store.StateDone, "", "")

	b.await("the cancelled auto-merge to be told", time.Minute, func() (bool, string) {
		return b.finding(b.status(calm), "auto-merge-cancelled"), b.status(calm).Why
	})
	if n := b.events(calm, "merge-request-accepted"); n != 1 {
		t.Errorf("%s: auto-merge was asked for %d times, want once", calm, n)
	}
	merge(calm, false, "")
	b.expect(calm, store.StateDone, "", "")

	// Agreed upon, the two that were refused go on: one reopened, one anew.
	clients, _ := b.clients()
	_, err = clients.GitLab.UpdateMergeRequest(t.Context(), ids[closed], iid[closed], gitlab.MergeRequestUpdate{State: "reopen"})
	b.must(err)
	for _, path := range []string{closed, reverted} {
		order := b.order()
		order.Policy.Delivery = "merge-request"
		_, err := b.enqueuer.Failed(t.Context(), order, b.project(path), "")
		b.must(err)
		b.until(path, "merge-request")
		iid[path] = b.open(path, forward)
		merge(path, false, "")
		b.expect(path, store.StateDone, "", "")
	}

	for path, want := range map[string]int{closed: 1, deleted: 1, squashed: 1, ffOnly: 1, skipped: 1, reverted: 2, direct: 1, between: 1, during: 1, edited: 1, calm: 1} {
		view, _ := b.world.GitLab.Project(path)
		if len(view.MergeRequests) != want {
			t.Errorf("%s: %d merge requests, want %d", path, len(view.MergeRequests), want)
		}
		r := b.status(path)
		if r.State != store.StateDone {
			continue
		}
		m, err := b.store.MigrationByID(t.Context(), r.MigrationID)
		b.must(err)
		if m.CommitSHA != view.Branches["main"] {
			t.Errorf("%s: proven at %.8s, main is at %.8s", path, m.CommitSHA, view.Branches["main"])
		}
		here := 0
		for _, p := range b.world.GitLab.Pipelines(path) {
			if p.Ref == "main" && p.SHA == m.CommitSHA && p.Status != "skipped" {
				here++
			}
		}
		if here != 1 {
			t.Errorf("%s: %d pipelines of main at the commit that was proven, want one", path, here)
		}
	}
}

// retry enqueues a project again that failed or needed attention.
func (b *bench) retry(path string) {
	b.Helper()
	_, err := b.enqueuer.Failed(b.Context(), b.order(), b.project(path), "")
	b.must(err)
}
