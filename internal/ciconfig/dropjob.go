package ciconfig

import (
	"slices"
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

// A job may have its script from a template: what it takes out of there would be gone for
// the others, too. One that does nothing but move a tag which goes is taken out itself.

// wholeJobs are the jobs that have nothing left to do without the drops, and whose script is
// another's.
func (c *cutting) wholeJobs(drops []*use, in map[*use]bool) map[*job]bool {
	out, seen := map[*job]bool{}, map[*job]bool{}
	for _, u := range drops {
		for _, j := range u.jobs() {
			if j == nil || !u.push || seen[j] {
				continue
			}
			seen[j] = true
			if !j.hidden && j.own.doc != nil && j.own.doc.src.editable && !has(j.own.node, "script") && c.onlyMoves(j, in) && !c.run.wanted(j) {
				out[j] = true
			}
		}
	}
	for _, j := range c.run.lastOnes(out) {
		delete(out, j)
	}
	return out
}

// lastOnes are those of some jobs without which pipelines would be left that have no job at
// all: GitLab makes none, and the job that starts such a child pipeline fails.
func (r *run) lastOnes(going map[*job]bool) (out []*job) {
	left := map[*config][]*job{}
	for j := range going {
		if _, known := left[j.in]; !known {
			left[j.in] = slices.DeleteFunc(slices.Clone(j.in.jobs()), func(k *job) bool { return k.hidden || going[k] })
		}
	}
	for j := range going {
		others := left[j.in]
		if len(others) == 0 && len(j.in.missing) == 0 ||
			j.in.parent != nil && !slices.ContainsFunc(others, func(k *job) bool { return r.in.Project.alongside(k, j) }) {
			out = append(out, j)
		}
	}
	return out
}

// onlyMoves says whether the commands of a job are those of the drops, and logins.
func (c *cutting) onlyMoves(j *job, in map[*use]bool) bool {
	r := c.run
	calls := map[*syntax.CallExpr]bool{}
	uses := r.index().of[j]
	for _, v := range uses {
		if v.cmd != nil && (in[v] || v.ref.own && strings.Contains(v.command, " pull")) {
			calls[v.cmd.call] = true
		}
	}
	for _, v := range uses {
		if v.ref.own && !in[v] && v.role != textRole && (v.cmd == nil || v.push || !calls[v.cmd.call]) {
			return false
		}
	}
	for _, key := range []string{"before_script", "script", "after_script"} {
		for _, l := range r.cfg.lines(j.tree.kid(key)) {
			ch := r.cfg.scalar(l.doc, l.node)
			if ch == nil || ch.shell() == nil || !idleBeside(ch.shell(), calls) {
				return false
			}
		}
	}
	return j.tree.kid("run") == nil
}

// idleBeside says whether a script does nothing beside some calls, but log in and say so.
func idleBeside(f *syntax.File, calls map[*syntax.CallExpr]bool) bool {
	idle := true
	syntax.Walk(f, func(n syntax.Node) bool {
		if call, ok := n.(*syntax.CallExpr); ok && len(call.Args) > 0 && !calls[call] {
			name := call.Args[0].Lit()
			idle = idle && (name == "set" || failureWords[name] || loggingIn(name+" "+wordAt(call, 1)+" "+wordAt(call, 2)))
		}
		return idle
	})
	return idle
}
