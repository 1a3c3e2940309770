package ciconfig

// login handles docker login and its relatives. $CI_REGISTRY means ECR after
// the migration, so such a line stays; the written-out host becomes the
// variable, with the path that docker takes off.
func (r *run) login(c *command) {
	for i, a := range c.args {
		for _, ref := range r.references(a) {
			if !ref.host && !(ref.own && ref.sep < 0 && ref.colon < 0) {
				continue
			}
			s, ok := ref.f.at(ref.start)
			if !ok || len(ref.f.via(ref.start)) > 0 || !s.src.editable {
				continue
			}
			e, _ := ref.f.at(ref.end - 1)
			with := "$CI_REGISTRY"
			if w := c.argSpan(i); w.text() == (span{s.src, s.start, e.end}).text() {
				with = s.src.encoded(s.start, `"$CI_REGISTRY"`)
			}
			r.after = append(r.after, change{span: span{s.src, s.start, e.end}, with: with})
		}
	}
}
