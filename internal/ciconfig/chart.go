package ciconfig

import (
	"path"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// templated is a place in a Helm template where something is put in.
var templated = regexp.MustCompile(`\{\{[^{}]*\}\}`)

// chartValue is such a place that takes one of the chart's values.
var chartValue = regexp.MustCompile(`^\{\{-?\s*\$?\.Values\.([A-Za-z0-9_.-]+?)\s*(?:\|\s*([^{}]*?))?\s*-?\}\}$`)

// formatted is a name that a template puts together by a format.
var formatted = regexp.MustCompile(`printf\s+"%s[/-][^"]*"\s+\$?\.Values\.([A-Za-z0-9_.-]+)`)

// helmCall is a run of helm by a script.
type helmCall struct {
	job     *job
	lits    []string
	sets    map[string][]text // what --set gives a value
	tags    map[string][]text // the same for tags, with the colon that joins them
	digests map[string][]text // and for digests, with their @

	places map[string][]flagPlace // where
}

// recordHelm remembers a run of helm and the values that it sets.
func (r *run) recordHelm(c *command, lits []string) {
	if lits[0] != "helm" {
		return
	}
	call := helmCall{job: r.now, lits: lits, sets: map[string][]text{}, tags: map[string][]text{}, digests: map[string][]text{}, places: map[string][]flagPlace{}}
	for i := 1; i < len(c.args); i++ {
		a, before := c.lit(i), lits[max(c.pos[i]-1, 0)] // a word may have several values
		switch flag, _, joined := strings.Cut(a, "="); {
		case flag == "--set" || flag == "--set-string":
			if joined {
				call.set(r.flatten(c.args[i]), len(flag)+1)
			}
		case before == "--set" || before == "--set-string":
			call.set(r.flatten(c.args[i]), 0)
		}
	}
	r.helms = append(r.helms, call)
}

// set reads a.b=value,c.d=value from byte i on.
func (h *helmCall) set(f *flat, i int) {
	for i < len(f.s) {
		end := len(f.s)
		if k := strings.IndexByte(f.s[i:], ','); k >= 0 {
			end = i + k
		}
		if key, _, ok := strings.Cut(f.s[i:end], "="); ok {
			equals := i + len(key)
			value := f.cut(equals+1, end)
			h.sets[key] = append(h.sets[key], value)
			at, ok := f.at(equals)
			at.start = at.end
			if ok && strings.HasSuffix(key, "digest") && len(value) > 0 {
				h.digests[key] = append(h.digests[key], append(text{{text: "@", at: at, via: f.via(equals)}}, value...))
			}
			if ok && strings.HasSuffix(key, "tag") && len(value) > 0 {
				tag := append(text{{text: ":", at: at, via: f.via(equals)}}, value...)
				h.tags[key] = append(h.tags[key], tag)
				begin, ok := f.at(i)
				begin.end = begin.start
				h.places[key] = append(h.places[key], flagPlace{key: begin, value: at, fixed: !ok || f.t[f.piece[equals]].single || len(f.via(equals)) > 0, tag: tag})
			}
		}
		i = end + 1
	}
}

// cut is the part of a flattened text from i to j.
func (f *flat) cut(i, j int) text {
	var out text
	for i < j {
		p, k := f.t[f.piece[i]], i
		for k < j && f.piece[k] == f.piece[i] {
			k++
		}
		if off := int(f.off[i]); off >= 0 {
			p = p.slice(off, off+k-i)
		}
		out = append(out, p)
		i = k
	}
	return out
}

// chartOf is the directory of the chart that a file is a template of.
func (r *run) chartOf(p string) (string, bool) {
	i := strings.LastIndex("/"+p, "/templates/")
	if i < 0 {
		return "", false
	}
	dir := path.Clean(p[:max(i-1, 0)])
	return dir, r.files[path.Join(dir, "Chart.yaml")] != nil
}

// chart looks at the images that a Helm template joins from the values that it
// is given: {{ .Values.repository }}/api:{{ .Values.tag }}.
// https://helm.sh/docs/chart_template_guide/values_files/
func (r *run) chart(s *source, e *env) {
	dir, ok := r.chartOf(s.path)
	if !ok || len(s.data) > maxFile {
		return
	}
	values := map[string][]text{}
	of := func(key string) []text {
		v, ok := values[key]
		if !ok {
			v = r.valuesOf(dir, key, e)
			values[key] = v
		}
		return v
	}
	for start := 0; start < len(s.data); {
		from, end := s.line(start)
		if end <= start {
			return
		}
		start = end
		ch := whole(s, from, from+len(strings.TrimRight(string(s.data[from:end]), "\r\n")))
		if strings.Contains(ch.text, ".Values.") && uncommented(ch.text) != "" {
			r.chartLine(ch, of)
		}
	}
}

// registryValue says whether a flag of helm gives the base to a value that is called
// a registry, and that no template which was looked at puts in: the chart adds a name.
func (r *run) registryValue(u *use) bool {
	if u.lits[0] != "helm" {
		return false
	}
	key := keyBefore(u.ref.f.s[:u.ref.start])
	return strings.HasSuffix(strings.ToLower(key), "registry") && !slices.ContainsFunc(r.chartKeys, func(k string) bool {
		return key == k || strings.HasSuffix(key, "."+k)
	})
}

// chartLine looks at a line of a template.
func (r *run) chartLine(ch *chunk, of func(key string) []text) {
	at := ch.span(0, len(ch.text))
	for _, m := range formatted.FindAllStringSubmatch(ch.text, -1) {
		if slices.ContainsFunc(of(m[1]), r.mentions) {
			r.report("name-unknown", at, m[0])
		}
	}
	vals, last, filtered := []text{{}}, 0, false
	for _, m := range templated.FindAllStringIndex(ch.text, -1) {
		vals = product(vals, []text{ch.pieces(last, m[0])})
		last = m[1]
		in := ch.span(m[0], m[1])
		v := chartValue.FindStringSubmatch(ch.text[m[0]:m[1]])
		if v == nil {
			vals = product(vals, expanded(nil, unknown, in, false))
			continue
		}
		known := of(v[1])
		r.chartKeys = append(r.chartKeys, v[1])
		if f, _, _ := strings.Cut(v[2], " "); f != "" && f != "default" && f != "required" && slices.ContainsFunc(known, r.mentions) {
			filtered = true
		}
		vals = product(vals, expanded(known, "Values."+v[1], in, false))
	}
	vals = product(vals, []text{ch.pieces(last, len(ch.text))})
	own := slices.ContainsFunc(vals, r.mentions)
	for _, v := range vals {
		if own && !r.mentions(v) && hosted(v.String()) {
			r.others = append(r.others, v)
		}
		for _, ref := range r.references(v) {
			if len(ref.f.via(ref.start)) == 0 || ref.host || ref.own && ref.sep < 0 && !ref.joined {
				continue // written in the template itself, or nothing is joined to the base
			}
			if ref.sep >= 0 && len(ref.f.via(ref.sep)) > 0 {
				continue // the value itself holds the name: its own place tells
			}
			u := &use{ref: ref, at: at, command: "chart", role: imageRole, expands: !literalBase(ref)}
			if filtered {
				u.bad = "string-operation"
			}
			r.add(u)
		}
	}
}

// joinedInCharts drops the pairs of flags whose repository a template joins to a name:
// the chart makes other references of them.
func (r *run) joinedInCharts() {
	joined := map[span]bool{}
	for _, u := range r.uses {
		if u.command == "chart" && u.ref.sep >= 0 {
			joined[u.base()] = true
		}
	}
	r.uses = slices.DeleteFunc(r.uses, func(u *use) bool { return u.pair && u.cmd != nil && joined[u.base()] })
}

// base is where the use's base is written.
func (u *use) base() span { return u.ref.f.t[u.ref.f.piece[u.ref.start]].at }

// valuesOf are the values that the runs of helm give a chart under a key: of
// --set, of the files that they name, or the chart's own.
func (r *run) valuesOf(dir, key string, e *env) []text {
	keys := []string{key}
	if path.Base(path.Dir(dir)) == "charts" {
		keys = append(keys, path.Base(dir)+"."+key)
	}
	own := r.fileValue(r.files[path.Join(dir, "values.yaml")], key, e)
	if len(keys) > 1 {
		parent := path.Dir(path.Dir(dir))
		if v := r.fileValue(r.files[path.Join(parent, "values.yaml")], keys[1], e); len(v) > 0 {
			own = v
		}
		dir = parent
	}
	var out []text
	called := false
	for _, h := range r.helms {
		if !r.installs(h, dir) {
			continue
		}
		called = true
		var given []text
		for _, k := range keys {
			given = union(given, h.sets[k])
		}
		for i := len(h.lits) - 1; i > 0 && len(given) == 0; i-- {
			name, value, joined := strings.Cut(h.lits[i], "=")
			if name != "-f" && name != "--values" {
				continue
			}
			if !joined && i+1 < len(h.lits) {
				value = h.lits[i+1]
			}
			for _, k := range keys {
				given = union(given, r.fileValue(r.valuesFile(value), k, e))
			}
		}
		if len(given) == 0 {
			given = own
		}
		out = union(out, given)
	}
	if !called {
		return own
	}
	return out
}

// chartJobs are the jobs that run helm with the chart that a file is a template of.
func (r *run) chartJobs(p string) (jobs []*job) {
	dir, _ := r.chartOf(p)
	if path.Base(path.Dir(dir)) == "charts" {
		dir = path.Dir(path.Dir(dir))
	}
	for _, h := range r.helms {
		if h.job != nil && r.installs(h, dir) && !slices.Contains(jobs, h.job) {
			jobs = append(jobs, h.job)
		}
	}
	return jobs
}

// installs says whether a run of helm may be of a chart: it names it, or none that is
// seen to be another one.
func (r *run) installs(h helmCall, dir string) bool {
	if len(h.lits) < 2 || !slices.Contains([]string{"upgrade", "install", "template"}, h.lits[1]) {
		return false
	}
	other := false
	for i, l := range h.lits[2:] {
		if strings.HasPrefix(l, "-") || strings.Contains(l, "=") {
			continue
		}
		p := path.Clean(strings.TrimPrefix(l, "${CI_PROJECT_DIR}/"))
		if p == dir {
			return true
		}
		other = other || r.files[path.Join(p, "Chart.yaml")] != nil
		if m := remoteChart.FindStringSubmatch(l); m != nil && !helmValued[h.lits[i+1]] && !r.holdsChart(p) {
			if m[1] == r.chartName(dir) {
				return true
			}
			other = true
		}
	}
	return !other
}

// remoteChart is a chart that helm fetches: repository/chart, oci://host/path/chart.
var remoteChart = regexp.MustCompile(`^(?:oci://\S+|[a-z0-9][a-z0-9-]*)/([a-z0-9][a-z0-9-]*)$`)

// helmValued are flags of helm behind which a path may stand.
var helmValued = map[string]bool{
	"--ca-file": true, "--cert-file": true, "--key-file": true, "--keyring": true, "--kubeconfig": true,
	"--post-renderer": true, "--registry-config": true, "--repo": true, "--repository-config": true,
}

// holdsChart says whether a chart lies under a path, seen from some directory.
func (r *run) holdsChart(p string) bool {
	return slices.ContainsFunc(r.in.Files, func(f File) bool {
		return f.Path == p+"/Chart.yaml" || strings.HasSuffix(f.Path, "/"+p+"/Chart.yaml")
	})
}

// chartName is the name of a chart of the repository.
func (r *run) chartName(dir string) string {
	if s := r.files[path.Join(dir, "Chart.yaml")]; s != nil {
		if docs, err := s.documents(); err == nil && len(docs) > 0 {
			if n := child(docs[0], "name"); n != nil && n.Value != "" {
				return n.Value
			}
		}
	}
	return path.Base(dir)
}

// valuesFile is a file of values in the repository, or what it is made of by
// envsubst.
func (r *run) valuesFile(name string) *source {
	if s := r.find(name); s != nil {
		return s
	}
	for _, ext := range []string{".tpl", ".tmpl", ".template", ".in"} {
		if s := r.find(path.Base(name) + ext); s != nil {
			return s
		}
	}
	return nil
}

// fileValue is what a file of values has under a key.
func (r *run) fileValue(s *source, key string, e *env) []text {
	if s == nil {
		return nil
	}
	docs, err := s.documents()
	if err != nil || len(docs) == 0 {
		return nil
	}
	n := deref(docs[0])
	for _, k := range strings.Split(key, ".") {
		n = deref(child(n, k))
	}
	if n == nil || n.Kind != yaml.ScalarNode || n.Value == "" {
		return nil
	}
	if ch := s.scalar(n); ch != nil {
		return e.interpolate(ch, &document{src: s})
	}
	return nil
}
