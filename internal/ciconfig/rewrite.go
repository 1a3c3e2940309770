package ciconfig

import (
	"bytes"
	"sort"
	"strings"
)

// Rewrite finds what has to change and what cannot be changed. An error means
// that the rewriter itself failed its proof; then nothing may be written.
func Rewrite(in Input) (*Result, error) {
	r := newRun(&in)
	r.look()
	changes := append(r.plan(), r.after...)
	r.judge()
	res := &Result{}
	after, err := apply(changes)
	if err != nil {
		return nil, err
	}
	for _, f := range in.Files {
		if b, ok := after[r.files[f.Path]]; ok && !bytes.Equal(b, f.Content) {
			res.Edits = append(res.Edits, Edit{Path: f.Path, Before: f.Content, After: b})
		}
	}
	r.summary(res)
	res.Findings = r.findings
	sort.SliceStable(res.Findings, func(i, j int) bool {
		a, b := res.Findings[i], res.Findings[j]
		if a.File != b.File {
			return a.File < b.File
		}
		return a.Line < b.Line
	})
	return res, nil
}

// judge turns what was not rewritten into findings.
func (r *run) judge() {
	sortUses(r.uses)
	for _, u := range r.uses {
		ref := u.ref
		switch {
		case ref.host:
			r.report("old-host", u.at, "")
		case !ref.own:
			r.report("foreign-image", u.at, ref.String())
		case u.bad != "":
			r.report(u.bad, u.at, ref.String())
		}
	}
}

// summary fills the lists of a result.
func (r *run) summary(res *Result) {
	refs, pushed, mapped := map[string]bool{}, map[string]bool{}, map[Mapped]bool{}
	for _, u := range r.uses {
		ref := u.ref
		if !ref.own || ref.host || u.role == repositoryRole || u.role == unclearRole || ref.joined {
			continue
		}
		if u.role == textRole && ref.colon < 0 && ref.digest < 0 {
			continue
		}
		old := ref.String()
		if !refs[old] {
			refs[old] = true
			res.References = append(res.References, old)
		}
		tag := ref.tag()
		if tag == "" {
			tag = "latest"
		}
		target := tag
		if p := prefixOf(ref.name()); p != "" {
			target = p + "-" + tag
		}
		if u.push && !pushed[target] {
			pushed[target] = true
			res.PushedTags = append(res.PushedTags, target)
		}
		m := Mapped{Old: old, New: "$CI_REGISTRY_IMAGE:" + target}
		if u.bad == "" && ref.sep >= 0 && !mapped[m] {
			mapped[m] = true
			res.Mapping = append(res.Mapping, m)
		}
	}
	sort.Strings(res.References)
	sort.Strings(res.PushedTags)
	sort.Slice(res.Mapping, func(i, j int) bool { return res.Mapping[i].Old < res.Mapping[j].Old })
}

// prefixOf is naming.Prefix for a name that may hold variables.
func prefixOf(name string) string {
	return strings.Trim(strings.ReplaceAll(name, "/", "-"), "-")
}
