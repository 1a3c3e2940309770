package gitlab

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/hexops/gotextdiff"
	"github.com/hexops/gotextdiff/myers"
	"github.com/hexops/gotextdiff/span"
)

type change struct {
	path           string
	old, new       entry
	text           string // hunks without the file header, as the API gives them
	added, removed int
}

func (r *repository) parentFiles(k *commit) map[string]entry {
	if len(k.Parents) == 0 {
		return nil
	}
	if p := r.Commits[k.Parents[0]]; p != nil {
		return p.Files
	}
	return nil
}

// diff compares two trees file by file; a rename shows as a deletion and a creation.
func (r *repository) diff(from, to map[string]entry) []change {
	var out []change
	for _, p := range slices.Sorted(maps.Keys(changed(from, to))) {
		d := change{path: p, old: from[p], new: to[p]}
		before, after := string(r.Blobs[d.old.Blob]), string(r.Blobs[d.new.Blob])
		text := fmt.Sprint(gotextdiff.ToUnified("a", "b", before, myers.ComputeEdits(span.URIFromPath(p), before, after)))
		if _, hunks, ok := strings.Cut(text, "+++ b\n"); ok {
			d.text = hunks
		}
		for _, line := range strings.Split(d.text, "\n") {
			switch {
			case strings.HasPrefix(line, "+"):
				d.added++
			case strings.HasPrefix(line, "-"):
				d.removed++
			}
		}
		out = append(out, d)
	}
	return out
}

// changed is the set of paths that differ between two trees.
func changed(from, to map[string]entry) map[string]bool {
	paths := map[string]bool{}
	for p, e := range from {
		if to[p] != e {
			paths[p] = true
		}
	}
	for p, e := range to {
		if from[p] != e {
			paths[p] = true
		}
	}
	return paths
}

func mode(e entry) string {
	switch {
	case e.Blob == "":
		return "0"
	case e.Exec:
		return "100755"
	}
	return "100644"
}

func diffEntities(changes []change) []object {
	out := []object{}
	for _, d := range changes {
		out = append(out, object{
			"diff": d.text, "new_path": d.path, "old_path": d.path, "a_mode": mode(d.old), "b_mode": mode(d.new),
			"new_file": d.old.Blob == "", "renamed_file": false, "deleted_file": d.new.Blob == "",
			"generated_file": false, "collapsed": false, "too_large": false,
		})
	}
	return out
}

func getCommitDiff(c *call) (int, any, error) {
	k, err := c.commit()
	if err != nil {
		return 0, nil, err
	}
	r := &c.project.Repo
	some, err := page(c, diffEntities(r.diff(r.parentFiles(k), k.Files)))
	return http.StatusOK, some, err
}

// compareCommits follows https://docs.gitlab.com/api/repositories/#compare-branches-tags-or-commits.
func compareCommits(c *call) (int, any, error) {
	if err := c.params.required("from", "to"); err != nil {
		return 0, nil, err
	}
	r := &c.project.Repo
	from, to := r.resolve(c.params.str("from")), r.resolve(c.params.str("to"))
	if from == nil || to == nil {
		return 0, nil, notFound("Ref")
	}
	straight, err := c.params.boolean("straight", false)
	if err != nil {
		return 0, nil, err
	}
	old := map[string]bool{}
	for _, k := range r.history(from) {
		old[k.SHA] = true
	}
	commits := []object{}
	for _, k := range slices.Backward(r.history(to)) {
		if !old[k.SHA] {
			commits = append(commits, c.commitEntity(k))
		}
	}
	base := from
	if !straight {
		if base = r.mergeBase(from, to); base == nil {
			base = &commit{}
		}
	}
	var last any
	if len(commits) > 0 {
		last = commits[len(commits)-1]
	}
	return http.StatusOK, object{
		"commit": last, "commits": commits, "diffs": diffEntities(r.diff(base.Files, to.Files)), "compare_timeout": false,
		"compare_same_ref": from == to, "web_url": c.s.URL + "/" + c.project.Path + "/-/compare/" + from.SHA + "..." + to.SHA,
	}, nil
}

func getMergeBase(c *call) (int, any, error) {
	refs := c.params.list("refs")
	if len(refs) != 2 {
		return 0, nil, refuse(http.StatusBadRequest, "400 Bad request - Provide at least 2 refs")
	}
	a, b := c.project.Repo.resolve(refs[0]), c.project.Repo.resolve(refs[1])
	if a == nil || b == nil {
		return 0, nil, refuse(http.StatusBadRequest, "400 Bad request - Could not find ref")
	}
	base := c.project.Repo.mergeBase(a, b)
	if base == nil {
		return 0, nil, notFound("Merge Base")
	}
	return http.StatusOK, c.commitEntity(base), nil
}
