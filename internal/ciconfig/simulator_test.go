package ciconfig

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/interp"
	"mvdan.cc/sh/v3/syntax"
)

// A simulator runs the pipelines of a project one after the other against a registry that
// it keeps: job by job in the order of the stages and needs, with an interpreter for the
// scripts and stand-ins for docker and the like. It knows as much of GitLab as the projects
// of TestSimulated use, and nothing of the code that it tests.

// event is an own image that a job uses, and what the registry, or the job's docker, has of it.
type event struct {
	ref   string
	image string // what was built, "" for nothing
}

// fault is a push that a registry refuses, or of an image that is not there.
type fault struct {
	pipeline, job string
	what          string // pushed again, not there, own job image, script
	ref           string
}

// simulator is a project in a registry.
type simulator struct {
	root      map[string]any
	base      string // $CI_REGISTRY_IMAGE
	immutable bool
	tags      map[string]string     // reference -> what was built
	uses      map[[2]string][]event // by pipeline and job
	ran       map[[2]string]bool
	faults    []fault
}

// simulated is a pipeline that a project may have.
type simulated struct {
	name string
	env  map[string]string
	asks string // a word of the project without which there is none
}

func pipelineOf(name, commit, source, branch, tag, asks string) simulated {
	ref := branch + tag
	env := map[string]string{
		"CI_COMMIT_SHA": strings.Repeat(commit, 40), "CI_COMMIT_SHORT_SHA": strings.Repeat(commit, 8), "CI_PIPELINE_ID": "100" + name, "CI_PIPELINE_IID": name,
		"CI_PIPELINE_SOURCE": source, "CI_DEFAULT_BRANCH": "main", "CI_COMMIT_REF_NAME": ref, "CI_COMMIT_REF_SLUG": strings.NewReplacer("/", "-", ".", "-").Replace(ref), "CI": "true",
	}
	switch {
	case source == mergeRequest:
		env["CI_MERGE_REQUEST_IID"] = "7"
	case branch != "":
		env["CI_COMMIT_BRANCH"] = branch
	default:
		env["CI_COMMIT_TAG"] = tag
	}
	return simulated{name, env, asks}
}

// history is what happens to each project.
var history = []simulated{
	pipelineOf("1", "a", "push", "main", "", ""),
	pipelineOf("2", "b", "push", "feature/x", "", ""),
	pipelineOf("3", "b", mergeRequest, "feature/x", "", "merge_request"),
	pipelineOf("4", "c", "push", "main", "", ""),
	pipelineOf("5", "c", "push", "", "v1.2.3", "TAGS"),
	pipelineOf("6", "c", "schedule", "main", "", "schedule"),
	pipelineOf("7", "d", "push", "main", "", ""),
}

// simulate runs the history of a project. The text says which pipelines there are.
func simulate(t *testing.T, ci []byte, text, base string, immutable bool) *simulator {
	t.Helper()
	s := &simulator{base: base, immutable: immutable, tags: map[string]string{}, uses: map[[2]string][]event{}, ran: map[[2]string]bool{}}
	if err := yaml.Unmarshal(ci, &s.root); err != nil {
		t.Fatal(err)
	}
	for _, p := range history {
		if strings.Contains(text, p.asks) || p.asks == "TAGS" && (strings.Contains(text, "CI_COMMIT_TAG") || strings.Contains(text, "tags]")) {
			s.pipeline(t, p)
		}
	}
	return s
}

// simulatedJob is a job with its templates laid under it.
type simulatedJob struct {
	name   string
	keys   map[string]any
	matrix map[string]string
	rule   map[string]any // the variables of the rule that let it in
}

// key is what a job has under a key, of its own or by its templates.
func (s *simulator) key(job map[string]any, key string) any {
	if v, ok := job[key]; ok && key != "variables" {
		return v
	}
	vars := map[string]any{}
	for _, name := range list(job["extends"]) {
		if base, ok := s.root[name].(map[string]any); ok {
			switch v := s.key(base, key).(type) {
			case map[string]any:
				maps.Copy(vars, v)
			case nil:
			default:
				return v
			}
		}
	}
	if v, ok := job[key].(map[string]any); ok {
		maps.Copy(vars, v)
	}
	if key != "variables" {
		return nil
	}
	return vars
}

// list is one text or a list of them, with the lists in it.
func list(v any) (out []string) {
	switch v := v.(type) {
	case string:
		return []string{v}
	case []any:
		for _, e := range v {
			out = append(out, list(e)...)
		}
	}
	return out
}

// jobs are those of a pipeline in the order in which they may run, who pushes last.
func (s *simulator) jobs(p simulated) []simulatedJob {
	var all []simulatedJob
	if w, ok := s.root["workflow"].(map[string]any); ok {
		if in, _ := s.runs(w["rules"], p); !in {
			return nil
		}
	}
	for name, v := range s.root {
		job, ok := v.(map[string]any)
		if !ok || reserved[name] || strings.HasPrefix(name, ".") {
			continue
		}
		in, rule := s.runs(s.key(job, "rules"), p)
		if only := list(s.key(job, "only")); only != nil {
			in = slices.ContainsFunc(only, p.is)
		}
		if !in || slices.ContainsFunc(list(s.key(job, "except")), p.is) {
			continue
		}
		keys := map[string]any{}
		for _, k := range []string{"image", "script", "before_script", "variables", "stage", "needs"} {
			if v := s.key(job, k); v != nil {
				keys[k] = v
			}
		}
		values := []map[string]string{{}}
		if m, ok := job["parallel"].(map[string]any); ok {
			values = nil
			for k, v := range m["matrix"].([]any)[0].(map[string]any) {
				for _, one := range list(v) {
					values = append(values, map[string]string{k: one})
				}
			}
		}
		for _, m := range values {
			all = append(all, simulatedJob{name, keys, m, rule})
		}
	}
	has := func(name string) bool {
		return slices.ContainsFunc(all, func(j simulatedJob) bool { return j.name == name })
	}
	for _, j := range all {
		if slices.ContainsFunc(list(j.keys["needs"]), func(n string) bool { return !has(n) }) {
			return nil // GitLab makes no such pipeline
		}
	}
	late := func(j simulatedJob) int {
		if text := strings.Join(list(j.keys["script"]), " "); strings.Contains(text, "push") || strings.Contains(text, "copy") || strings.Contains(text, "crane") || strings.Contains(text, "executor") {
			return 1
		}
		return 0
	}
	slices.SortFunc(all, func(a, b simulatedJob) int {
		return 10*(late(a)-late(b)) + strings.Compare(a.name+fmt.Sprint(a.matrix), b.name+fmt.Sprint(b.matrix))
	})
	stages := list(s.root["stages"])
	stage := func(j simulatedJob) int { return slices.Index(stages, fmt.Sprint(j.keys["stage"])) }
	var order []simulatedJob
	for len(all) > 0 {
		i := slices.IndexFunc(all, func(j simulatedJob) bool {
			return !slices.ContainsFunc(all, func(o simulatedJob) bool {
				if needs, ok := j.keys["needs"]; ok {
					return slices.Contains(list(needs), o.name)
				}
				return stage(o) < stage(j)
			})
		})
		if i < 0 {
			return nil // needs in a circle
		}
		order = append(order, all[i])
		all = slices.Delete(all, i, i+1)
	}
	return order
}

// is says whether a pipeline is one of those that only: and except: name.
func (p simulated) is(ref string) bool {
	switch source := p.env["CI_PIPELINE_SOURCE"]; ref {
	case "branches":
		return p.env["CI_COMMIT_BRANCH"] != ""
	case "tags":
		return p.env["CI_COMMIT_TAG"] != ""
	case "merge_requests":
		return source == mergeRequest
	case "schedules":
		return source == "schedule"
	}
	return p.env["CI_COMMIT_BRANCH"] == ref
}

// runs says whether rules let a job into a pipeline, and with which variables.
func (s *simulator) runs(rules any, p simulated) (bool, map[string]any) {
	list, ok := rules.([]any)
	if !ok {
		return p.env["CI_PIPELINE_SOURCE"] != mergeRequest, nil
	}
	for _, r := range list {
		rule := r.(map[string]any)
		if madeHolds(fmt.Sprint(rule["if"]), p.env) {
			vars, _ := rule["variables"].(map[string]any)
			return rule["when"] != "never", vars
		}
	}
	return false, nil
}

var simpleCondition = regexp.MustCompile(`^\$(\w+)\s*(==|!=)\s*(?:"([^"]*)"|\$(\w+))$`)

// madeHolds evaluates a condition of comparisons and variables joined by &&.
func madeHolds(cond string, env map[string]string) bool {
	for term := range strings.SplitSeq(cond, "&&") {
		term = strings.TrimSpace(term)
		m := simpleCondition.FindStringSubmatch(term)
		if m == nil {
			if env[strings.TrimPrefix(term, "$")] == "" {
				return false
			}
			continue
		}
		want := m[3]
		if m[4] != "" {
			want = env[m[4]]
		}
		if (env[m[1]] == want) != (m[2] == "==") {
			return false
		}
	}
	return true
}

var gitlabVariable = regexp.MustCompile(`\$\{(\w+)\}|\$(\w+)`)

// expanded is text as GitLab puts variables into it.
func (s *simulator) expanded(text string, env map[string]string, depth int) string {
	if depth > 8 {
		return text
	}
	return gitlabVariable.ReplaceAllStringFunc(text, func(m string) string { return s.expanded(env[strings.Trim(m, "${}")], env, depth+1) })
}

func (s *simulator) pipeline(t *testing.T, p simulated) {
	t.Helper()
	reports := map[string]string{} // out of dotenv reports
	for _, j := range s.jobs(p) {
		env := maps.Clone(p.env)
		env["CI_REGISTRY_IMAGE"], env["CI_REGISTRY"] = s.base, path.Dir(path.Dir(s.base))
		for _, vars := range []any{s.root["variables"], j.keys["variables"], j.rule} {
			if m, ok := vars.(map[string]any); ok {
				for k, v := range m {
					env[k] = fmt.Sprint(v)
				}
			}
		}
		maps.Copy(env, j.matrix)
		maps.Copy(env, reports)
		for k, v := range env {
			env[k] = s.expanded(v, env, 0)
		}
		d := &dockerd{simulator: s, pipeline: p.name, job: j.name + fmt.Sprint(j.matrix), env: env, local: map[string]string{}, files: map[string]*bytes.Buffer{}}
		s.ran[[2]string{d.pipeline, d.job}] = true
		if image, ok := j.keys["image"].(string); ok {
			if image = s.expanded(image, env, 0); strings.HasPrefix(image, s.base) {
				if s.immutable {
					d.fault("own job image", image)
				}
				d.use(image)
			}
		}
		d.run(t, strings.Join(append(list(j.keys["before_script"]), list(j.keys["script"])...), "\n"))
		for line := range strings.Lines(d.file("build.env").String()) {
			if name, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
				reports[name] = value
			}
		}
	}
}

// dockerd is a job's docker, and the other tools.
type dockerd struct {
	*simulator
	pipeline, job string
	env           map[string]string
	local         map[string]string
	files         map[string]*bytes.Buffer
	built         int
}

func (d *dockerd) fault(what, ref string) {
	d.faults = append(d.faults, fault{d.pipeline, d.job, what, ref})
}

func (d *dockerd) use(ref string) {
	image, ok := d.local[ref]
	if !ok {
		image = d.tags[ref]
	}
	key := [2]string{d.pipeline, d.job}
	d.uses[key] = append(d.uses[key], event{ref, image})
}

func (d *dockerd) push(ref, image string) {
	was, there := d.tags[ref]
	switch {
	case image == "":
		d.fault("not there", ref)
	case there && d.immutable && was != image:
		d.fault("pushed again", ref)
	default:
		d.tags[ref] = image
	}
}

func (d *dockerd) file(name string) *bytes.Buffer {
	if d.files[name] == nil {
		d.files[name] = &bytes.Buffer{}
	}
	return d.files[name]
}

// nothing is a file that nobody reads.
type nothing struct{ io.Writer }

func (nothing) Read([]byte) (int, error) { return 0, io.EOF }
func (nothing) Close() error             { return nil }

// run runs a script.
func (d *dockerd) run(t *testing.T, script string) {
	t.Helper()
	var pairs []string
	for k, v := range d.env {
		pairs = append(pairs, k+"="+v)
	}
	f, err := syntax.NewParser().Parse(strings.NewReader(script), "")
	if err != nil {
		t.Fatalf("%v in\n%s", err, script)
	}
	r, err := interp.New(interp.Env(expand.ListEnviron(pairs...)), interp.StdIO(nil, io.Discard, io.Discard),
		interp.ExecHandlers(func(interp.ExecHandlerFunc) interp.ExecHandlerFunc {
			return func(_ context.Context, args []string) error {
				if args[0] == "docker" && args[1] == "run" {
					if i := slices.Index(args, "-ec"); i > 0 {
						defer d.run(t, args[i+1])
					}
				}
				return d.command(args)
			}
		}),
		interp.OpenHandler(func(_ context.Context, name string, _ int, _ os.FileMode) (io.ReadWriteCloser, error) {
			return nothing{d.file(path.Base(name))}, nil
		}))
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Run(t.Context(), f); err != nil {
		d.fault("script", err.Error())
	}
}

// flags are the values of a flag, which may be joined to it by an equals sign.
func flags(args []string, names ...string) (out []string) {
	for i, a := range args {
		for _, name := range names {
			if a == name && i+1 < len(args) {
				out = append(out, args[i+1])
			} else if v, ok := strings.CutPrefix(a, name+"="); ok {
				out = append(out, v)
			}
		}
	}
	return out
}

// command is one of the tools.
func (d *dockerd) command(args []string) error {
	verb := ""
	if len(args) > 1 {
		verb = args[1]
	}
	last := strings.TrimPrefix(args[len(args)-1], "docker://")
	switch path.Base(args[0]) {
	case "docker", "podman":
		switch {
		case verb == "build", verb == "buildx" && args[2] == "build":
			d.built++
			image := fmt.Sprint(d.pipeline, " ", d.job, " ", d.built)
			for _, tag := range flags(args, "-t", "--tag") {
				d.local[tag] = image
				if slices.Contains(args, "--push") {
					d.push(tag, image)
				}
			}
		case verb == "buildx" && args[2] == "imagetools":
			for _, tag := range flags(args, "-t", "--tag") {
				d.push(tag, d.tags[last])
			}
		case verb == "push":
			d.push(last, d.local[last])
		case verb == "pull":
			if d.tags[last] == "" {
				return interp.ExitStatus(1)
			}
			d.local[last] = d.tags[last]
		case verb == "tag":
			d.local[last] = d.local[args[2]]
		case verb == "run":
			if i := slices.IndexFunc(args, func(a string) bool { return strings.HasPrefix(a, d.base) }); i > 0 {
				d.use(args[i])
			}
		}
	case "executor":
		d.built++
		for _, to := range flags(args, "--destination") {
			d.push(to, fmt.Sprint(d.pipeline, " ", d.job, " ", d.built))
		}
	case "crane":
		from := args[2]
		if verb == "tag" {
			last = from[:strings.LastIndexByte(from, ':')+1] + last
		}
		d.push(last, d.tags[from])
	case "skopeo":
		d.push(last, d.tags[strings.TrimPrefix(args[2], "docker://")])
	case "kubectl":
		_, ref, _ := strings.Cut(last, "=")
		d.use(ref)
	case "helm":
		var repository, tag string
		for _, set := range flags(args, "--set") {
			switch key, v, _ := strings.Cut(set, "="); key {
			case "image.repository":
				repository = v
			case "image.tag":
				tag = v
			}
		}
		d.use(repository + ":" + tag)
	}
	return nil
}
