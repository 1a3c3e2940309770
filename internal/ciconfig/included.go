package ciconfig

import (
	"path"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"
)

// What include: names: files of the project, which are read, and those of others.

// include reads what one entry of include: names.
func (c *config) include(d *document, n *yaml.Node) *tree {
	if n == nil {
		return nil
	}
	if n.Kind == yaml.ScalarNode {
		if strings.Contains(n.Value, "://") {
			return c.outside(d, Include{Kind: "remote", File: n.Value}, nil)
		}
		return c.local(d, n.Value, c.given)
	}
	with := child(n, "inputs")
	if with == nil {
		with = c.given
	}
	if child(n, "rules") != nil && c.only == nil {
		c.only = n
		defer func() { c.only = nil }()
	}
	var out stack
	for _, e := range entries(n, 0) {
		v := deref(e.value)
		switch e.key.Value {
		case "local":
			out.lay(c.local(d, v.Value, with))
		case "remote", "template":
			out.lay(c.outside(d, Include{Kind: e.key.Value, File: v.Value}, with))
		case "component":
			if file := c.ownComponent(v.Value); file != "" {
				out.lay(c.local(d, file, with))
				continue
			}
			out.lay(c.outside(d, Include{Kind: "component", Component: v.Value}, with))
		case "project":
			ref := ""
			if r := child(n, "ref"); r != nil {
				ref = r.Value
			}
			for _, f := range items(child(n, "file")) {
				if f = deref(f); f == nil {
					continue
				}
				if c.own(v.Value, ref) && c.files[path.Clean(strings.TrimPrefix(c.expand(f.Value), "/"))] != nil {
					out.lay(c.local(d, f.Value, with))
					continue
				}
				out.lay(c.outside(d, Include{Kind: "project", Project: v.Value, Ref: ref, File: f.Value}, with))
			}
		}
	}
	return out.tree
}

// own says whether an include of a project's file means this project, as its default
// branch has it: as these files become.
func (c *config) own(project, ref string) bool {
	p := c.in.Project
	return strings.EqualFold(c.expand(project), p.Path) && (ref == "" || ref == "HEAD" || c.expand(ref) == p.defaultBranch())
}

// ownComponent is the file of a component that means this project, as its default branch, or
// the commit of the pipeline, has it; "" for any other.
// https://docs.gitlab.com/ci/components/#directory-structure
func (c *config) ownComponent(address string) string {
	address, ref, _ := strings.Cut(address, "@")
	_, address, _ = strings.Cut(address, "/") // behind the host
	commit := inPath.FindStringSubmatch(ref)
	if !c.own(path.Dir(address), ref) && (commit == nil || commit[1] != "CI_COMMIT_SHA" || !c.own(path.Dir(address), "")) {
		return ""
	}
	name := path.Join("templates", c.expand(path.Base(address)))
	for _, file := range []string{name + ".yml", name + "/template.yml"} {
		if c.files[file] != nil {
			return file
		}
	}
	return ""
}

// wildcards is what GitLab makes of an include with stars: two of them stand for
// any text, slashes too, and one for text without a slash.
// https://docs.gitlab.com/ci/yaml/includes/#use-includelocal-with-wildcard-file-paths
func wildcards(name string) *regexp.Regexp {
	pattern := strings.ReplaceAll(regexp.QuoteMeta(name), `\*\*`, `.*`)
	return regexp.MustCompile(`^` + strings.ReplaceAll(pattern, `\*`, `[^/]*`) + `$`)
}

// local reads a file of the same repository; its name may have wildcards.
func (c *config) local(d *document, name string, with *yaml.Node) *tree {
	name = path.Clean(strings.TrimPrefix(c.expand(name), "/"))
	if !strings.Contains(name, "*") {
		if s := c.files[name]; s != nil {
			return c.read(s, with, d)
		}
		c.want(Include{Kind: "local", File: name})
		return nil
	}
	var out stack
	found, pattern := false, wildcards(name)
	for _, f := range c.in.Files {
		if pattern.MatchString(f.Path) {
			found = true
			out.lay(c.read(c.files[f.Path], with, d))
		}
	}
	if !found {
		c.want(Include{Kind: "local", File: name})
	}
	return out.tree
}

// outside reads an include of another project, as far as it was given.
func (c *config) outside(d *document, inc Include, with *yaml.Node) *tree {
	for _, got := range c.in.Included {
		if got.Include != inc {
			continue
		}
		if got.Missing != "" {
			c.unread[inc.String()] = got.Missing
			return nil
		}
		key := "(" + inc.String() + ")"
		s := c.files[key]
		if s == nil {
			s = newSource(key, got.Content, false)
			c.files[key] = s
		}
		return c.read(s, with, d)
	}
	c.want(inc)
	return nil
}

func (c *config) want(inc Include) {
	c = c.top()
	for _, m := range c.missing {
		if m == inc {
			return
		}
	}
	for _, got := range c.in.Included {
		if got.Include == inc {
			return
		}
	}
	c.missing = append(c.missing, inc)
}

var inPath = regexp.MustCompile(`\$\{?([A-Za-z_][A-Za-z0-9_]*)\}?`)

// expand puts variables into the name of an include: those of the project's path
// and its settings. GitLab does not put in those that the files define.
// https://docs.gitlab.com/ci/yaml/includes/#use-variables-with-include
func (c *config) expand(s string) string {
	p := c.in.Project
	return inPath.ReplaceAllStringFunc(s, func(whole string) string {
		name := inPath.FindStringSubmatch(whole)[1]
		switch name {
		case "CI_PROJECT_PATH":
			return p.Path
		case "CI_PROJECT_NAME":
			return path.Base(p.Path)
		case "CI_PROJECT_NAMESPACE":
			return path.Dir(p.Path)
		case "CI_DEFAULT_BRANCH", "CI_COMMIT_BRANCH", "CI_COMMIT_REF_NAME":
			return p.defaultBranch()
		case "CI_PROJECT_DIR": // jobs have one
			return ""
		}
		if v, ok := p.Variables[name]; ok {
			return v
		}
		return whole
	})
}

// String names the include as its author wrote it.
func (i Include) String() string {
	switch i.Kind {
	case "project":
		return i.Project + ":" + strings.TrimPrefix(i.File, "/")
	case "component":
		return i.Component
	}
	return i.File
}

// Missing names the includes that the files so far ask for and that are not
// given yet. Fetch them and ask again until it is empty. A local include that
// Candidate has not chosen comes with kind "local": give it in Files.
func Missing(in Input) []Include {
	files := map[string]*source{}
	for _, f := range in.Files {
		files[f.Path] = newSource(f.Path, f.Content, true)
	}
	return load(&in, files).missing
}
