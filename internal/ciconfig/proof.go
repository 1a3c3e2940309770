package ciconfig

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// prove checks a rewrite before it is handed out: what was YAML is YAML, no job and no
// key appeared or vanished except where a job was put into a container, what was pushed
// for a use still is, and no complete reference names the old registry or a second
// repository unless a finding says so. An error is a fault of the rewriter.
func prove(names, after *run, res *Result) error {
	for _, f := range after.in.Files {
		if after.files[f.Path] == names.files[f.Path] {
			continue
		}
		if isYAML(f.Path) {
			before, was := names.files[f.Path].documents()
			docs, err := after.files[f.Path].documents()
			if err != nil && was == nil {
				return fmt.Errorf("the rewritten %s is not valid YAML: %w", f.Path, err)
			}
			if mergesNull(docs, 0) && !mergesNull(before, 0) {
				return fmt.Errorf("the rewritten %s merges a mapping of which nothing is left", f.Path)
			}
		}
	}
	b, a := names.cfg.pipelines(), after.cfg.pipelines()
	if len(b) != len(a) {
		return fmt.Errorf("the rewrite changed the number of child pipelines from %d to %d", len(b)-1, len(a)-1)
	}
	for i := range b {
		if err := sameJobs(b[i], a[i], names.dropped); err != nil {
			return err
		}
	}
	told := map[string]bool{} // what a finding names, and the lines with a finding
	for _, f := range res.Findings {
		if f.Severity == Blocking {
			return nil // nothing will be written; the leftovers are told already
		}
		told[f.Detail] = true
		told[f.File+"\x00"+f.Text] = true
	}
	if u := names.unpushed(); u != nil {
		line, _ := u.at.src.position(u.at.start)
		return fmt.Errorf("%s:%d uses %s, which would not be pushed any more under the tag %s", u.at.src.path, line, u.ref, u.target())
	}
	after.look()
	for _, u := range after.uses {
		if u.ref.host || u.settled {
			continue
		}
		name := u.ref.String()
		if u.ref.own && u.ref.sep < 0 && !u.ref.joined && (u.ref.baseIsVariable || !literalBase(u.ref)) {
			continue
		}
		reported := told[u.at.src.path+"\x00"+u.place().shown()]
		for m := range told {
			reported = reported || strings.Contains(m, name)
		}
		if !reported {
			line, _ := u.at.src.position(u.at.start)
			return fmt.Errorf("%s:%d still names %s", u.at.src.path, line, name)
		}
	}
	return nil
}

// mergesNull says whether a merge key has null, which GitLab does not merge.
func mergesNull(nodes []*yaml.Node, depth int) bool {
	return depth < maxDepth && slices.ContainsFunc(nodes, func(n *yaml.Node) bool {
		for i := 0; n.Kind == yaml.MappingNode && i+1 < len(n.Content); i += 2 {
			v := deref(n.Content[i+1])
			if merges(n.Content[i]) && (isNull(v) || slices.ContainsFunc(items(v), func(v *yaml.Node) bool { return isNull(deref(v)) })) {
				return true
			}
		}
		return mergesNull(n.Content, depth+1)
	})
}

// unpushed is a use of an image that a job pushed under the very tag, and none will.
func (r *run) unpushed() *use {
	type made struct {
		job *job
		ref string
	}
	gone, release := r.gone(), r.in.Project.as(Project{tag: unnamed})
	was, will, local := map[string]bool{}, map[string]bool{}, map[made]bool{}
	released := map[string]bool{} // what pipelines for git tags push, and was what others do
	for _, u := range r.uses {
		if !u.ref.own || u.ref.host || u.ref.joined || u.role == repositoryRole || u.spare() {
			continue
		}
		if u.cmd != nil && u.tags() {
			for _, j := range u.jobs() {
				local[made{j, u.ref.String()}] = true
			}
		}
		if u.push {
			was[u.ref.String()] = was[u.ref.String()] || u.stability() != releaseTag
			tags := []string{u.target()}
			if slices.ContainsFunc(u.jobs(), func(j *job) bool { return j == nil || release.runs(j) }) {
				released[u.ref.String()] = true
				tags = append(tags, asGitTag(u.target()))
			}
			for _, t := range tags {
				will[t] = will[t] || !gone[u]
			}
		} else if u.copies() && u.retagged == "" {
			will[u.target()] = true // it has to be there already
		}
	}
	for _, u := range r.uses {
		if u.push || u.spare() || !u.ref.own || u.role != imageRole || u.ref.digest >= 0 || u.bad != "" || u.settled || gone[u] || cacheFlag(u) != "" {
			continue
		}
		pushed, there := was, will[u.target()]
		if u.stability() == releaseTag { // the name of the branch, which others push, is the git tag here
			pushed, there = released, there || u.released() && will[asGitTag(u.target())]
		}
		if pushed[u.ref.String()] && !there && !slices.ContainsFunc(u.jobs(), func(j *job) bool { return local[made{j, u.ref.String()}] }) {
			return u
		}
	}
	return nil
}

// copies says whether a command gives an image that is in the registry another name.
func (u *use) copies() bool {
	return u.cmd != nil && len(u.lits) > 1 && (u.lits[1] == "copy" || u.lits[1] == "cp" || u.lits[1] == "tag" && !strings.HasPrefix(u.command, "docker") || slices.Contains(u.lits, "imagetools"))
}

// literalBase says whether the old registry's name is written out.
func literalBase(ref *reference) bool {
	for i := ref.start; i < ref.base; i++ {
		if ref.f.off[i] >= 0 && ref.f.s[i] != '/' {
			return true
		}
	}
	return false
}

// containerKeys are what changes when a job is put into a container.
var containerKeys = map[string]bool{"image": true, "services": true, "before_script": true, "script": true, "after_script": true, "extends": true}

// sameJobs checks that the merged configuration has the same jobs with the
// same keys, and the same values where no reference can be.
func sameJobs(before, after *config, dropped []*job) error {
	if before.root == nil || after.root == nil {
		return nil
	}
	for _, name := range before.root.keys {
		b, a := before.root.kids[name], after.root.kids[name]
		if a == nil && slices.ContainsFunc(dropped, func(j *job) bool { return j.name == name }) {
			continue
		}
		if a == nil {
			return fmt.Errorf("the rewrite lost %q", name)
		}
		if b.kids != nil && a.node != nil && isNull(a.node) {
			return fmt.Errorf("the rewrite left nothing of %q", name)
		}
		if list := items(a.node); name == "include" && b.kids != nil && a.kids == nil && len(list) > 0 {
			a = after.grow(a.doc, deref(list[len(list)-1]), 0) // it has become a list
		}
		cleared := func(t *tree, key string) bool {
			return (strings.HasPrefix(name, ".") || t != b) && containerKeys[key] && allContained(t, key, before, after)
		}
		if err := sameTree(name, b, a, 0, cleared); err != nil {
			return err
		}
	}
	for _, name := range after.root.keys {
		if before.root.kids[name] == nil && name != "include" && !(name == hiddenKey && len(dropped) > 0) {
			return fmt.Errorf("the rewrite invented %q", name)
		}
	}
	return nil
}

// allContained says whether some jobs merge what a template has under a key, or would but for
// another value, and all of them are put into containers. A job with another value may stay.
func allContained(template *tree, key string, before, after *config) bool {
	merged := false
	has := mergeOwners(template.node, key, map[*yaml.Node]bool{}) // the template, or what it merges itself
	for _, j := range before.jobs() {
		t := j.tree.kids[key]
		if j.hidden || t == nil {
			continue
		}
		merges := func(m *yaml.Node) bool { return slices.Contains(has, m) }
		switch own := t.node == template.kids[key].node; {
		case !own && !slices.ContainsFunc(mergeOwners(j.own.node, key, map[*yaml.Node]bool{}), merges):
		case extendsDocker(after.root.kids[j.name]):
			merged = true
		case own:
			return false
		}
	}
	return merged
}

// sameTree compares two trees. The mapping of a job that has been put into a container may have
// other keys for it; so may one below a template that such jobs merge, where each of these
// keys was theirs alone.
func sameTree(at string, b, a *tree, depth int, cleared func(t *tree, key string) bool) error {
	if b == nil || a == nil || b.kids == nil || depth > 3 {
		return nil
	}
	contained := extendsDocker(a) && (!extendsDocker(b) || b.kids["image"] != nil && a.kids["image"] == nil)
	for _, k := range b.keys {
		if contained && depth == 0 && containerKeys[k] {
			continue
		}
		x := a.kids[k]
		if (x == nil || contained && containerKeys[k]) && cleared(b, k) {
			continue
		}
		if x == nil {
			return fmt.Errorf("the rewrite lost %s of %q", k, at)
		}
		bn, an := b.kids[k].node, x.node
		if bn != nil && an != nil && bn.Kind != an.Kind {
			return fmt.Errorf("the rewrite changed the kind of %s of %q", k, at)
		}
		if bn != nil && an != nil && mappings(an) > mappings(bn) {
			return fmt.Errorf("the rewrite made a mapping of a line in %s of %q", k, at)
		}
		if bn != nil && bn.Kind == yaml.ScalarNode && bn.Value != an.Value && !mayChange(bn.Value) && !(strings.HasSuffix(at, "variables") && strings.HasSuffix(an.Value, "-"+bn.Value)) {
			return fmt.Errorf("the rewrite changed %s of %q from %q", k, at, bn.Value)
		}
		if err := sameTree(at+"."+k, b.kids[k], x, depth+1, cleared); err != nil {
			return err
		}
	}
	for _, k := range a.keys {
		if b.kids[k] == nil && !(contained && containerKeys[k]) {
			return fmt.Errorf("the rewrite invented %s in %q", k, at)
		}
	}
	return nil
}

// mappings counts the entries of a list that are mappings, as a line with a colon at its
// end would be.
func mappings(list *yaml.Node) (n int) {
	for _, c := range items(list) {
		if c = deref(c); c != nil && c.Kind == yaml.MappingNode {
			n++
		}
	}
	return n
}

// mayChange says whether a value may hold a reference, a part of one, or a tag that moves.
// A name may bring its dash along, as it may a slash; a variable's value may be a tag that is
// written out, before which the name goes.
func mayChange(v string) bool {
	return v == "latest" || strings.HasPrefix(v, "-") || strings.ContainsAny(v, "$/:")
}

func extendsDocker(t *tree) bool {
	e := t.kid("extends")
	if e == nil {
		return false
	}
	for _, n := range items(e.node) {
		if n = deref(n); n != nil && n.Value == ".docker" {
			return true
		}
	}
	return false
}
