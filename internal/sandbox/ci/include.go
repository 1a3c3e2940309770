package ci

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
)

// maxIncludes is GitLab's limit for the files of one pipeline. It also ends
// files that include each other.
const maxIncludes = 150

// place is the repository and commit that a file was read from: its own local
// includes are looked for there.
type place struct{ project, ref string }

// file is one include, after its location is known.
type file struct {
	location string // as messages name it
	content  []byte
	at       place
	inputs   *hash
}

// include merges what a configuration includes below the configuration itself.
func (c *compiler) include(config *hash, at place) *hash {
	entries := wrap(config.get("include"))
	merged := newHash()
	for _, entry := range entries {
		if entry == nil {
			continue
		}
		for _, f := range c.locate(entry, at) {
			if len(c.includes) >= maxIncludes {
				fail("Maximum of %d nested includes are allowed!", maxIncludes)
			}
			c.includes = append(c.includes, f.location)
			merged = c.merge(merged, c.included(f))
		}
	}
	return c.merge(merged, config).without("include")
}

func (c *compiler) included(f file) *hash {
	h, err := c.read(f.content, f.inputs)
	if err != nil {
		fail("`%s`: %s", f.location, err)
	}
	if h.len() == 0 {
		fail("Included file `%s` does not have valid YAML syntax!", f.location)
	}
	return c.include(h, f.at)
}

var (
	includeKinds = []string{"local", "project", "remote", "template", "component", "artifact"}
	includeKeys  = append([]string{"file", "ref", "rules", "inputs", "job", "integrity", "cache"}, includeKinds...)
)

// locate reads the files that one entry of include stands for.
func (c *compiler) locate(entry any, at place) []file {
	if s, ok := entry.(string); ok {
		s = expandBlank(s, c.known)
		h := newHash()
		if strings.HasPrefix(s, "http://") || strings.HasPrefix(s, "https://") {
			h.set("remote", s)
		} else {
			h.set("local", s)
		}
		entry = h
	}
	h, ok := entry.(*hash)
	if !ok {
		fail("include config should be a hash or a string")
	}
	if unknown := unknownKeys(h, includeKeys); unknown != "" {
		fail("include config contains unknown keys: %s", strings.ToLower(unknown))
	}
	if !c.wanted(h.get("rules"), at) {
		return nil
	}
	var kinds []string
	for _, k := range includeKinds {
		if !blank(h.get(k)) {
			kinds = append(kinds, k)
		}
	}
	switch {
	case len(kinds) == 0:
		raw, _ := json.Marshal(plain(h))
		fail("`%s` does not have a valid subkey for include. Valid subkeys are: `%s`", raw, strings.Join(includeKinds, "`, `"))
	case len(kinds) > 1:
		fail("Each include must use only one of: `%s`", strings.Join(includeKinds, "`, `"))
	}
	inputs, ok := h.get("inputs").(*hash) // GitLab expands no variables in them
	if !ok && h.get("inputs") != nil {
		fail("include:inputs config should be a hash")
	}
	var files []file
	switch kinds[0] {
	case "local":
		files = c.local(c.location(h.get("local")), at)
	case "project":
		files = c.fromProject(h)
	case "component":
		files = []file{c.component(c.location(h.get("component")))}
	case "template":
		files = []file{c.template(c.location(h.get("template")), at)}
	case "remote":
		files = []file{c.remote(c.location(h.get("remote")), at)}
	default:
		fail("Including configs from artifacts is only allowed when triggering child pipelines")
	}
	for i := range files {
		files[i].inputs = inputs
	}
	return files
}

// location expands the variables of a location; they are those known before
// any file is read.
func (c *compiler) location(v any) string {
	s, ok := v.(string)
	if !ok {
		fail("Included file `%s` needs to be a string", text(v))
	}
	return expandBlank(s, c.known)
}

var yamlName = regexp.MustCompile(`(?i).+\.(yml|yaml)$`)

func named(location string) {
	if !yamlName.MatchString(path.Base(location)) {
		fail("Included file `%s` does not have YAML extension!", location)
	}
}

func (c *compiler) local(location string, at place) []file {
	location = strings.TrimLeft(location, "/")
	if strings.Contains(location, "*") {
		paths, err := c.files.Paths(at.project, at.ref)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			abort(fmt.Errorf("ci: list %s: %w", at.project, err))
		}
		var files []file
		for _, p := range paths {
			if ok, err := doublestar.Match(location, p); ok && err == nil {
				files = append(files, c.local(p, at)...)
			}
		}
		return files
	}
	named(location)
	content, ok := c.readFile(at, location)
	switch {
	case !ok:
		fail("Local file `%s` does not exist!", location)
	case strings.TrimSpace(string(content)) == "":
		fail("Local file `%s` is empty!", location)
	}
	return []file{{location: location, content: content, at: at}}
}

func (c *compiler) fromProject(h *hash) []file {
	project := h.get("project")
	if list, ok := project.([]any); ok && len(list) > 0 {
		project = list[0]
	}
	at := place{project: strings.Trim(c.location(project), "/")}
	shown := "HEAD"
	if ref := h.get("ref"); ref != nil {
		at.ref = expandBlank(text(ref), c.known)
		shown = at.ref
	}
	if blank(h.get("file")) {
		fail("include config must specify the file where to fetch the config from")
	}
	var files []file
	for _, f := range wrap(h.get("file")) {
		location := strings.TrimLeft(c.location(f), "/")
		named(location)
		content, ok := c.readFile(at, location)
		switch {
		case !ok && !c.exists(place{project: at.project}):
			fail("Project `%s` not found or access denied! Make sure any includes in the pipeline configuration are correctly defined.", strings.ToLower(at.project))
		case !ok && !c.exists(at):
			fail("Project `%s` reference `%s` does not exist!", strings.ToLower(at.project), shown)
		case !ok:
			fail("Project `%s` file `%s` does not exist!", strings.ToLower(at.project), location)
		case strings.TrimSpace(string(content)) == "":
			fail("Project `%s` file `%s` is empty!", strings.ToLower(at.project), location)
		}
		files = append(files, file{location: location, content: content, at: at})
	}
	return files
}

func (c *compiler) template(name string, at place) file {
	if !strings.HasSuffix(name, ".gitlab-ci.yml") {
		fail("Template file `%s` is not a valid location!", name)
	}
	if served, ok := c.files.(Templates); ok {
		content, err := served.Template(name)
		if err == nil && len(content) > 0 {
			return file{location: name, content: content, at: at}
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			abort(fmt.Errorf("ci: template %s: %w", name, err))
		}
	}
	fail("Included file `%s` is empty or does not exist!", name)
	return file{}
}

func (c *compiler) remote(url string, at place) file {
	if !strings.HasPrefix(url, "http://") && !strings.HasPrefix(url, "https://") {
		fail("Remote file `%s` does not have a valid address!", url)
	}
	named(url)
	if served, ok := c.files.(Remotes); ok {
		content, err := served.Remote(url)
		if err == nil {
			return file{location: url, content: content, at: at}
		}
		if !errors.Is(err, fs.ErrNotExist) {
			abort(fmt.Errorf("ci: remote file: %w", err))
		}
	}
	fail("Remote file `%s` could not be fetched because of a socket error!", url)
	return file{}
}

// readFile reads a file; ok is false when it does not exist.
func (c *compiler) readFile(at place, name string) (content []byte, ok bool) {
	content, err := c.files.ReadFile(at.project, at.ref, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false
	}
	if err != nil {
		abort(fmt.Errorf("ci: read %s of %s: %w", name, at.project, err))
	}
	return content, true
}

func (c *compiler) exists(at place) bool {
	_, err := c.files.Paths(at.project, at.ref)
	return err == nil
}
