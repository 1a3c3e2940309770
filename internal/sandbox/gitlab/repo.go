package gitlab

import (
	"bytes"
	"crypto/sha1" //nolint:gosec // git's object ids are SHA-1
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// repository is a git repository reduced to what the API shows: complete trees
// a commit, blobs by id, branches and tags. Object ids are git's own, see
// https://git-scm.com/book/en/v2/Git-Internals-Git-Objects.
type repository struct {
	Blobs    map[string][]byte
	Commits  map[string]*commit
	Branches map[string]string
	Tags     map[string]string
}

type entry struct {
	Blob string
	Exec bool
}

type signature struct {
	Name, Email string
	When        time.Time
}

type commit struct {
	SHA       string
	Parents   []string
	Files     map[string]entry
	Author    signature
	Committer signature
	Message   string
}

func newRepository() repository {
	return repository{Blobs: map[string][]byte{}, Commits: map[string]*commit{}, Branches: map[string]string{}, Tags: map[string]string{}}
}

func objectID(kind string, body []byte) string {
	h := sha1.New() //nolint:gosec // git's object ids are SHA-1
	fmt.Fprintf(h, "%s %d\x00", kind, len(body))
	h.Write(body)
	return hex.EncodeToString(h.Sum(nil))
}

func (r *repository) addBlob(content []byte) string {
	id := objectID("blob", content)
	r.Blobs[id] = bytes.Clone(content)
	return id
}

func (r *repository) empty() bool { return len(r.Commits) == 0 }

// addCommit stores a commit with the given files; it moves no branch.
func (r *repository) addCommit(parents []string, files map[string]entry, author, committer signature, message string) *commit {
	var b strings.Builder
	fmt.Fprintf(&b, "tree %s\n", treeID(files, ""))
	for _, p := range parents {
		fmt.Fprintf(&b, "parent %s\n", p)
	}
	fmt.Fprintf(&b, "author %s <%s> %d +0000\n", author.Name, author.Email, author.When.Unix())
	fmt.Fprintf(&b, "committer %s <%s> %d +0000\n\n%s", committer.Name, committer.Email, committer.When.Unix(), message)
	c := &commit{SHA: objectID("commit", []byte(b.String())), Parents: parents, Files: files, Author: author, Committer: committer, Message: message}
	r.Commits[c.SHA] = c
	return c
}

// treeID is the id of the tree object of a folder ("" for the root).
func treeID(files map[string]entry, folder string) string {
	type item struct {
		name, mode, id string
		tree           bool
	}
	var items []item
	seen := map[string]bool{}
	for path, e := range files {
		rest, ok := strings.CutPrefix(path, folder)
		if !ok {
			continue
		}
		name, _, deeper := strings.Cut(rest, "/")
		if seen[name] {
			continue
		}
		seen[name] = true
		switch {
		case deeper:
			items = append(items, item{name, "40000", treeID(files, folder+name+"/"), true})
		case e.Exec:
			items = append(items, item{name, "100755", e.Blob, false})
		default:
			items = append(items, item{name, "100644", e.Blob, false})
		}
	}
	key := func(i item) string { // git sorts a folder as if its name ended in a slash
		if i.tree {
			return i.name + "/"
		}
		return i.name
	}
	slices.SortFunc(items, func(a, b item) int { return strings.Compare(key(a), key(b)) })
	var body bytes.Buffer
	for _, i := range items {
		raw, _ := hex.DecodeString(i.id)
		fmt.Fprintf(&body, "%s %s\x00", i.mode, i.name)
		body.Write(raw)
	}
	return objectID("tree", body.Bytes())
}

// resolve finds the commit of a branch, a tag or a sha of at least seven digits.
// A branch wins over a tag of the same name, as in the API.
func (r *repository) resolve(ref string) *commit {
	name := strings.TrimPrefix(ref, "refs/heads/")
	if sha, ok := r.Branches[name]; ok {
		return r.Commits[sha]
	}
	if sha, ok := r.Tags[strings.TrimPrefix(ref, "refs/tags/")]; ok {
		return r.Commits[sha]
	}
	if c, ok := r.Commits[ref]; ok {
		return c
	}
	if len(ref) < 7 {
		return nil
	}
	var found *commit
	for sha, c := range r.Commits {
		if strings.HasPrefix(sha, ref) {
			if found != nil {
				return nil // ambiguous
			}
			found = c
		}
	}
	return found
}

// lastCommit is the newest commit, seen from c, that changed a path; merges are
// followed to the parent that already has the same content, as git log does.
func (r *repository) lastCommit(c *commit, path string) *commit {
	for {
		next := (*commit)(nil)
		for _, sha := range c.Parents {
			if p := r.Commits[sha]; p != nil && p.Files[path] == c.Files[path] {
				next = p
				break
			}
		}
		if next == nil {
			return c
		}
		c = next
	}
}

// history lists the commits reachable from c, newest first.
func (r *repository) history(c *commit) []*commit {
	seen := map[string]bool{c.SHA: true}
	queue, out := []*commit{c}, []*commit(nil)
	for len(queue) > 0 {
		// The newest of the open ends comes next; a child before its parent.
		best := 0
		for i, q := range queue {
			if q.Committer.When.After(queue[best].Committer.When) {
				best = i
			}
		}
		c := queue[best]
		queue = slices.Delete(queue, best, best+1)
		out = append(out, c)
		for _, sha := range c.Parents {
			if p := r.Commits[sha]; p != nil && !seen[sha] {
				seen[sha] = true
				queue = append(queue, p)
			}
		}
	}
	return out
}

func (r *repository) contains(c *commit, sha string) bool {
	return slices.ContainsFunc(r.history(c), func(x *commit) bool { return x.SHA == sha })
}

// mergeBase is the newest common ancestor.
func (r *repository) mergeBase(a, b *commit) *commit {
	of := map[string]bool{}
	for _, c := range r.history(a) {
		of[c.SHA] = true
	}
	for _, c := range r.history(b) {
		if of[c.SHA] {
			return c
		}
	}
	return nil
}

// merge joins the changes since the merge base file by file; ok is false when
// both sides changed the same file differently.
func (r *repository) merge(target, source *commit) (files map[string]entry, ok bool) {
	base := map[string]entry{}
	if c := r.mergeBase(target, source); c != nil {
		base = c.Files
	}
	files = maps.Clone(target.Files)
	paths := maps.Clone(source.Files)
	maps.Copy(paths, base)
	for path := range paths {
		was, theirs, ours := base[path], source.Files[path], target.Files[path]
		if theirs == was || theirs == ours {
			continue
		}
		if ours != was {
			return nil, false
		}
		if theirs == (entry{}) {
			delete(files, path)
		} else {
			files[path] = theirs
		}
	}
	return files, true
}
