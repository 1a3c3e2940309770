package ciconfig

import (
	"bytes"
	"path"
	"strings"

	"go.yaml.in/yaml/v3"
)

// handedArg is what a service of a compose file, or a target of bake, gives an ARG of the
// Dockerfile that builds it.
// https://docs.docker.com/reference/compose-file/build/#args
type handedArg struct {
	name string
	file string // the Dockerfile, "" where it is not known
	from int    // where the value begins in its scalar: NAME=value
	at   span   // that scalar
	vals []text
}

// composeArgs are the arguments that the services of a compose file hand over, each by its
// scalar. Those that have their values from the environment are remembered right away.
func (r *run) composeArgs(s *source, e *env, n *yaml.Node) map[*yaml.Node][]handedArg {
	out := map[*yaml.Node][]handedArg{}
	for _, service := range entries(child(n, "services"), 0) {
		build := child(service.value, "build")
		file, args := dockerfileOf(s.path, build), child(build, "args")
		for _, arg := range entries(args, 0) {
			if v := deref(arg.value); v.Value == "" && v.Kind == yaml.ScalarNode {
				r.inheritsArg(e, handedArg{name: arg.key.Value, file: file})
			} else {
				out[v] = append(out[v], handedArg{name: arg.key.Value, file: file})
			}
		}
		if args == nil || args.Kind != yaml.SequenceNode {
			continue
		}
		for _, v := range args.Content {
			v = deref(v)
			if name, _, ok := strings.Cut(v.Value, "="); ok {
				out[v] = append(out[v], handedArg{name: name, file: file, from: len(name) + 1})
			} else {
				r.inheritsArg(e, handedArg{name: name, file: file})
			}
		}
	}
	return out
}

// inheritsArg remembers an argument that has the value of the variable of its name.
func (r *run) inheritsArg(e *env, a handedArg) {
	a.vals = e.anywhere(a.name)
	for _, c := range r.composing {
		vals, _ := c.sh.lookup(a.name)
		a.vals = union(a.vals, vals)
	}
	r.handed = append(r.handed, a)
}

// dockerfileOf is the Dockerfile that a service's build reads, "" where nobody knows.
func dockerfileOf(compose string, build *yaml.Node) string {
	if build == nil || child(build, "dockerfile_inline") != nil {
		return ""
	}
	context, file := build.Value, "Dockerfile"
	if build.Kind == yaml.MappingNode {
		if c := child(build, "context"); c != nil {
			context = c.Value
		}
		if f := child(build, "dockerfile"); f != nil {
			file = f.Value
		}
	}
	if strings.ContainsAny(context+file, "$:") {
		return ""
	}
	return path.Join(path.Dir(compose), context, file)
}

// completes says whether the Dockerfile may join a tag to the argument, as far as it can be seen.
func (r *run) completes(a handedArg) bool {
	s := r.files[a.file]
	return s == nil || bytes.Contains(s.data, []byte(a.name))
}

// fileGives are the values that compose and bake files give an ARG of a Dockerfile, and whether all
// that build it do.
func (r *run) fileGives(s *source, name string) (vals []text, given bool) {
	for _, a := range r.handed {
		if a.file == s.path && a.name == name {
			vals, given = union(vals, a.vals), true
		}
	}
	return vals, given
}

// filesToFrom settles the names that such files hand over as ARGs which a FROM has been
// seen to complete.
func (r *run) filesToFrom(s *source, used map[string]bool) {
	for _, a := range r.handed {
		if a.file != s.path || !used[a.name] || a.at.src == nil {
			continue
		}
		for _, u := range r.uses {
			if u.at == a.at && u.role == unclearRole && u.ref.colon < 0 && u.ref.digest < 0 {
				u.role, u.settled = textRole, true // FROM asks for its changes
			}
		}
	}
}
