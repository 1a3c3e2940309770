package ciconfig

import "strings"

// definitions looks at the variables that hold a reference and that nothing
// visible uses.
func (r *run) definitions() {
	r.shown()
	covered := map[span]bool{}
	for _, u := range r.uses {
		if s, ok := u.separator(); ok || s.src != nil {
			covered[s] = true
		}
		if u.ref.own && u.ref.colon >= 0 {
			if s, ok := u.ref.f.at(u.ref.colon); ok {
				covered[s] = true
			}
		}
		if !u.ref.own && u.ref.f.off[u.ref.start] >= 0 {
			if s, ok := u.ref.f.at(u.ref.start); ok {
				covered[s] = true
			}
		}
	}
	look := func(t *tree, e *env, j *job) {
		if t == nil {
			return
		}
		for _, name := range t.keys {
			v := t.kids[name]
			if v.kids != nil {
				v = v.kid("value")
			}
			if v == nil || v.node == nil || v.node.Value == "" {
				continue
			}
			ch := r.cfg.scalar(v.doc, v.node)
			if ch == nil {
				continue
			}
			for _, val := range e.expand(ch, v.doc) {
				r.quarkusGroup(name, ch.span(0, len(ch.text)), val)
				if j != nil && outside(j.tree.kid("trigger")) {
					r.handedOut(ch.span(0, len(ch.text)), []text{val}, "trigger")
					r.handTag(ch.span(0, len(ch.text)), append(text{{text: name + "="}}, val...), true)
				}
				if v, ok := strings.CutPrefix(name, "TF_VAR_"); ok && !r.inTerraform(v) {
					r.handTag(ch.span(0, len(ch.text)), append(text{{text: name + "="}}, val...), true)
				}
				for _, ref := range r.references(val) {
					u := &use{ref: ref, at: ch.span(0, len(ch.text)), command: "variable " + name, role: textRole, expands: true, job: j}
					if ref.own && ref.colon >= 0 {
						colon, ok := ref.f.at(ref.colon)
						u.unread = !ok || !covered[colon]
					}
					if name == applicationRepository && ref.own && ref.sep >= 0 && ref.colon < 0 && r.readsApplication() {
						r.application(e, ch, val, j)
						continue
					}
					if ref.own && ref.sep >= 0 {
						s, ok := ref.f.at(ref.sep)
						joins := false // a tag to a name that others use too, for nobody that is seen
						if ref.colon >= 0 {
							colon, ok := ref.f.at(ref.colon)
							joins = ok && !covered[colon]
						}
						if ok && covered[s] && !joins {
							continue
						}
						if ref.colon < 0 && ref.digest < 0 {
							u.bad = "unseen-use"
						}
						if j != nil && (len(j.gone) > 0 || j.tree.kid("trigger") != nil && !r.cfg.followed(j)) || strings.HasPrefix(name, "TF_VAR_") {
							u.role, u.bad = unclearRole, "" // Terraform and others read it
						}
					} else if s, ok := ref.f.at(ref.start); ok && covered[s] {
						continue
					} else if ref.own && ref.joined && ref.base < ref.nameEnd {
						if s, ok := ref.f.at(ref.base); ok && covered[s] { // the slash that names are put behind
							continue
						}
					} else if ref.own && ref.colon >= 0 && j != nil && len(j.gone) > 0 {
						if s, ok := ref.f.at(ref.colon); !ok || !covered[s] {
							u.role = unclearRole
						}
					}
					r.add(u)
				}
			}
		}
	}
	r.each(func() {
		if r.cfg.root == nil {
			return
		}
		look(r.cfg.root.kid("variables"), r.cfg.env(nil), nil)
		for _, j := range r.cfg.jobs() {
			look(j.tree.kid("variables"), r.cfg.env(j.tree), j)
		}
		for _, j := range r.cfg.templates() { // a value that all who extend it set anew
			look(j.own.kid("variables"), r.cfg.env(j.tree), j)
		}
	})
}

// shown finds names that scripts give a variable and that nothing visible but a
// message uses: what does use the variable, such as a program of the job's image,
// would not follow.
func (r *run) shown() {
	only := func(u *use) bool {
		return u.role == textRole && u.cmd != nil && (u.lits[0] == "echo" || u.lits[0] == "printf") && u.ref.colon < 0 && u.ref.digest < 0
	}
	real := map[span]bool{}
	for _, u := range r.uses {
		if s, shared := u.separator(); shared && !only(u) {
			real[s] = true
		}
	}
	for _, u := range r.uses {
		if s, shared := u.separator(); shared && only(u) && !real[s] && u.bad == "" {
			u.bad = "unseen-use"
		}
	}
}

// outside says whether a job triggers a pipeline of another project.
func outside(trigger *tree) bool {
	return trigger != nil && (trigger.kids == nil && trigger.value() != "" || trigger.kid("project") != nil)
}
