package ciconfig

import (
	"path"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// bakeCall is a run of docker buildx bake by a script.
type bakeCall struct {
	job     *job
	shell   *shell // with the variables as they were
	files   []string
	targets []string
	set     []string // --set PATTERN.KEY=VALUE
	push    bool
}

// bakeValued are bake's flags that take a value.
// https://docs.docker.com/reference/cli/docker/buildx/bake/
var bakeValued = map[string]bool{"-f": true, "--file": true, "--set": true, "--builder": true, "--metadata-file": true, "--progress": true, "--allow": true,
	"--call": true, "--list": true, "--provenance": true, "--sbom": true, "--var": true}

// recordBake remembers a run of bake.
func (r *run) recordBake(sh *shell, lits []string) {
	if !isBake(lits) {
		return
	}
	call := bakeCall{job: r.now, shell: sh.clone()}
	for i := slices.Index(lits, "bake") + 1; i < len(lits); i++ {
		flag, value, joined := strings.Cut(lits[i], "=")
		switch {
		case !strings.HasPrefix(flag, "-"):
			call.targets = append(call.targets, lits[i])
			continue
		case bakeValued[flag] && !joined && i+1 < len(lits):
			i++
			value = lits[i]
		}
		switch flag {
		case "-f", "--file":
			call.files = append(call.files, value)
		case "--set":
			call.set = append(call.set, value)
			call.push = call.push || strings.Contains(value, "output=") && pushedOutput(value)
		case "--push":
			call.push = call.push || value != "false"
		}
	}
	r.bakeCalls = append(r.bakeCalls, call)
	if call.push && r.bakesComposed(call) {
		r.pushesComposed = r.pushesComposed || r.now == nil || r.in.Project.runs(r.now)
		if r.now != nil && !sh.away {
			r.composers = append(r.composers, composer{composing: composing{sh: call.shell, files: composeFiles(lits)}, job: r.now, services: call.services()})
		}
	}
}

// isBake says whether a command is docker buildx bake.
func isBake(lits []string) bool {
	at := slices.Index(lits, "bake")
	return at == 1 && slices.Contains(bakers, lits[0]) || at > 1 && slices.Contains(bakers, lits[0]) && slices.Contains(lits[:at], "buildx")
}

var bakers = []string{"docker", "buildx", "docker-buildx", "depot"}

// bakesComposed says whether a call builds the services of compose files: of those that it
// names or, where it names none and the project has no bake file, of the one that bake looks for.
// https://docs.docker.com/build/bake/compose-file/
func (r *run) bakesComposed(call bakeCall) bool {
	if len(call.files) == 0 {
		return r.find("docker-bake.hcl") == nil && r.find("docker-bake.json") == nil
	}
	return slices.ContainsFunc(call.files, isYAML)
}

// seen says whether the files of a call were found, and no other place gives it more.
func (call bakeCall) seen(files []*source) bool {
	if slices.ContainsFunc(call.targets, func(t string) bool { return strings.Contains(t, "/") || strings.Contains(t, "$") }) {
		return false
	}
	return len(files) > 0 && len(files) >= len(call.files)
}

// services are those that a call names by its targets, nil for all. A target may be a group
// where another file than one of compose is read.
func (call bakeCall) services() []string {
	if slices.Contains(call.targets, "default") || slices.ContainsFunc(call.files, func(f string) bool { return !isYAML(f) }) {
		return nil
	}
	return call.targets
}

// pushedOutput says whether a build's output is the registry.
func pushedOutput(s string) bool {
	return strings.Contains(s, "type=registry") || strings.Contains(s, "push=true")
}

// bakes looks at the images of bake files: with the variables of each call that
// builds them and, where none is seen to read a file, with those of any job.
func (r *run) bakes(e *env) (read map[*source]bool) {
	read = map[*source]bool{}
	mark := len(r.uses)
	var all []*bakeFiles
	for _, call := range r.bakeCalls {
		names := call.files
		if len(names) == 0 {
			names = []string{"docker-bake.hcl", "docker-bake.override.hcl"}
		}
		var files []*source
		for _, n := range names {
			if s := r.bakeFile(n, call); s != nil {
				files = append(files, s)
				read[s] = true
			}
		}
		if len(files) > 0 {
			all = append(all, r.bake(files, call, call.shell.lookup))
		}
		r.bakesUnseen = r.bakesUnseen || !call.seen(files) && !r.bakesComposed(call)
	}
	for _, f := range r.in.Files {
		s := r.files[f.Path]
		if !isHCL(f.Path) || read[s] || s.parseHCL() == nil || !slices.ContainsFunc(s.hcl.Blocks, func(b *hclsyntax.Block) bool { return b.Type == "target" }) {
			continue
		}
		read[s] = true
		all = append(all, r.bake([]*source{s}, bakeCall{}, e.lookup))
	}
	seen := map[*hclsyntax.Block]bool{}
	for _, b := range all {
		for _, t := range b.wanted() {
			seen[t] = true
			b.target(t)
		}
	}
	for _, b := range all { // what no call builds stays in step with the rest
		for _, t := range b.all {
			if !seen[t] {
				seen[t] = true
				b.target(t)
			}
		}
	}
	for _, b := range all {
		b.defaults(r.uses[mark:], seen)
	}
	return read
}

// bakeFile is the file that a call names: in the directory that it was made in, or
// of several files of one name the one that has the call's targets.
func (r *run) bakeFile(name string, call bakeCall) *source {
	if s := r.files[path.Join(call.shell.dir, name)]; s != nil && call.shell.dir != "" {
		return bakeable(s)
	}
	var all []*source
	for _, f := range r.in.Files {
		s := r.files[f.Path]
		if path.Base(f.Path) != path.Base(name) || bakeable(s) == nil || slices.ContainsFunc(call.targets, func(t string) bool {
			return !slices.ContainsFunc(s.hcl.Blocks, func(b *hclsyntax.Block) bool { return slices.Equal(b.Labels, []string{t}) })
		}) {
			continue
		}
		all = append(all, s)
	}
	if s := r.find(name); s != nil && (len(all) == 0 || slices.Contains(all, s)) {
		return bakeable(s)
	}
	if len(all) == 1 {
		return all[0]
	}
	return nil
}

// bakeable is a file, where it is one in HCL.
func bakeable(s *source) *source {
	if !isHCL(s.path) || s.parseHCL() == nil {
		return nil
	}
	return s
}
