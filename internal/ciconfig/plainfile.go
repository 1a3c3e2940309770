package ciconfig

import (
	"path"
	"strings"
)

// plain looks at a file of no known kind, line by line. Lines that are comments
// are left alone.
func (r *run) plain(s *source, e *env) {
	if len(s.data) > maxFile {
		r.report("file-too-large", span{s, 0, 0}, "")
		return
	}
	seen := r.readByCompose(s)
	for start := 0; start < len(s.data); {
		from, end := s.line(start)
		if end <= start {
			break
		}
		start = end
		t := strings.TrimSpace(string(s.data[from:end]))
		if t == "" || t[0] == '#' || strings.HasPrefix(t, "//") {
			continue
		}
		if name, _, _ := strings.Cut(strings.TrimPrefix(t, "export "), "="); seen[name] {
			continue
		}
		r.textLine(s, e, from, end)
	}
}

func (r *run) textLine(s *source, e *env, from, end int) {
	ch := whole(s, from, end)
	if !strings.Contains(ch.text, "$") && !strings.Contains(ch.text, r.in.Project.OldHost) {
		return
	}
	for _, v := range e.interpolate(ch, nil) {
		for _, ref := range r.references(v) {
			if at, ok := ref.f.at(ref.start); ok && describes(s, at.start) {
				continue
			}
			r.add(&use{ref: ref, at: ch.span(0, len(strings.TrimRight(ch.text, "\r\n"))), command: "file", role: unclearRole, expands: strings.Contains(ch.text, "$") && !otherPipeline(s.path) && (!hasOwnVariables(s.path) || r.fills(s.path))})
		}
	}
}

// hasOwnVariables says whether a file is of a language whose $NAME or ${NAME} is a variable of
// its own, and no tool puts the pipeline's in by itself.
// https://developer.hashicorp.com/terraform/language/expressions/strings
// https://maven.apache.org/pom.html#Properties
func hasOwnVariables(p string) bool {
	switch path.Ext(p) {
	case ".hcl", ".tf", ".tfvars", ".nomad", ".xml", ".gradle", ".kts", ".kt", ".java", ".scala", ".sbt", ".properties",
		".py", ".js", ".mjs", ".cjs", ".ts", ".go", ".rb", ".php", ".cs", ".csproj", ".service", ".container", ".kube", ".image":
		return true
	}
	return renovates(p)
}
