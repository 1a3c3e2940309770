package ciconfig

import (
	"bytes"

	"github.com/moby/buildkit/frontend/dockerfile/parser"
)

// dockerfile looks at the instructions that name images: FROM, COPY and ADD
// --from, RUN --mount=from, and the defaults of ARG. A Dockerfile sees no
// variable of the pipeline, only its own ARGs, so an own image that is written
// out there cannot become $CI_REGISTRY_IMAGE.
func (r *run) dockerfile(s *source) {
	if !bytes.Contains(s.data, []byte(r.in.Project.OldHost)) {
		return
	}
	var res *parser.Result
	func() {
		defer func() { // the parser is not ours
			if recover() != nil {
				res = nil
			}
		}()
		res, _ = parser.Parse(bytes.NewReader(s.data))
	}()
	if res == nil {
		r.report("dockerfile-invalid", span{s, 0, 0}, "")
		return
	}
	for _, n := range res.AST.Children {
		from, _ := s.line(s.offset(n.StartLine, 1))
		_, end := s.line(s.offset(n.EndLine, 1))
		ch := whole(s, from, end)
		for _, ref := range r.references(ch.pieces(0, len(ch.text))) {
			u := &use{ref: ref, at: span{s, from, end}, command: "Dockerfile " + n.Value, role: imageRole}
			if n.Value == "run" || n.Value == "label" || n.Value == "env" {
				u.role = textRole
			}
			r.add(u)
		}
	}
}
