package ci

import "slices"

// The entries of a job. A location of "" belongs to an inherited value, whose
// faults were noted where it stands.

func (c *compiler) note(location, format string, args ...any) {
	if location != "" {
		c.problem(location, format, args...)
	}
}

// under is a place below another; below an inherited value there is none.
func under(location, key string) string {
	if location == "" {
		return ""
	}
	return location + ":" + key
}

func (c *compiler) noteUnknown(location string, h *hash, allowed []string) {
	if location != "" {
		c.unknown(location, h, allowed)
	}
}

// commands reads a script, which must be there; script one that may be missing.
func (c *compiler) commands(location string, v any) []string {
	lines, ok := c.lines(v)
	if !ok {
		c.note(location, "config should be a string or a nested array of strings up to %d levels deep", maxNesting)
	}
	return lines
}

func (c *compiler) script(location string, v any) []string {
	if v == nil {
		return nil
	}
	return c.commands(location, v)
}

func (c *compiler) lines(v any) ([]string, bool) {
	if s, ok := v.(string); ok {
		return []string{s}, true
	}
	list, ok := v.([]any)
	if !ok {
		return nil, v == nil
	}
	if list, ok = c.flatten(list, 0); !ok {
		return nil, false
	}
	out := make([]string, 0, len(list))
	for _, e := range list {
		s, ok := e.(string)
		if !ok {
			return nil, false
		}
		out = append(out, s)
	}
	return out, true
}

var (
	imageKeys   = []string{"name", "entrypoint", "ports", "pull_policy", "docker", "kubernetes"}
	serviceKeys = append([]string{"command", "alias", "variables"}, imageKeys...)
)

func (c *compiler) image(location string, v any, keys []string) *Image {
	switch v := v.(type) {
	case nil:
		return nil
	case string:
		if blank(v) {
			c.note(location, "name can't be blank")
		}
		return &Image{Name: v}
	case *hash:
		c.noteUnknown(location, v, keys)
		name, ok := v.get("name").(string)
		if !ok {
			c.note(location, "name should be a string")
		}
		if blank(v.get("name")) {
			c.note(location, "name can't be blank")
		}
		img := &Image{Name: name, Alias: text(v.get("alias"))}
		if e := v.get("entrypoint"); e != nil {
			if img.Entrypoint, ok = stringList(e); !ok {
				c.note(location, "entrypoint should be an array of strings")
			}
		}
		if e := v.get("command"); e != nil {
			if img.Command, ok = stringList(e); !ok {
				c.note(location, "command should be an array of strings")
			}
		}
		return img
	}
	c.note(location, "config should be a hash or a string")
	return nil
}

func (c *compiler) services(location string, v any) []Image {
	if v == nil {
		return nil
	}
	list, ok := v.([]any)
	if !ok {
		c.note(location, "config should be an array")
		return nil
	}
	out := make([]Image, 0, len(list))
	for _, e := range list {
		c.spend(1)
		at := under(location, "service")
		if e == nil {
			c.note(at, "config should be a hash or a string")
			continue
		}
		if img := c.image(at, e, serviceKeys); img != nil {
			out = append(out, *img)
		}
	}
	return out
}

func (c *compiler) tags(location string, v any) []string {
	if v == nil {
		return nil
	}
	list, ok := stringList(v)
	if !ok {
		c.note(location, "config should be an array of strings")
	}
	return list
}

var cacheKeys = []string{"key", "untracked", "paths", "when", "policy", "unprotect", "fallback_keys"}

func (c *compiler) cache(location string, v any) []string {
	var paths []string
	for _, e := range wrap(v) {
		h, ok := e.(*hash)
		if !ok {
			c.note(location, "config should be a hash or an array of hashes")
			return nil
		}
		c.noteUnknown(location, h, cacheKeys)
		if p := h.get("paths"); p != nil {
			list, ok := stringList(p)
			if !ok {
				c.note(under(location, "paths"), "config should be an array of strings")
			}
			paths = append(paths, list...)
		}
	}
	return paths
}

func (c *compiler) retry(location string, v any) int {
	if h, ok := v.(*hash); ok {
		c.noteUnknown(location, h, []string{"max", "when", "exit_codes"})
		v = h.get("max")
	}
	if v == nil {
		return 0
	}
	n, ok := v.(int64)
	switch {
	case !ok:
		c.note(location, "config has to be either an integer or a hash")
	case n < 0:
		c.note(location, "config must be greater than or equal to 0")
	case n > 2:
		c.note(location, "config must be less than or equal to 2")
	}
	return int(n)
}

var (
	artifactKeys = []string{"name", "public", "access", "untracked", "paths", "reports", "when", "expire_in",
		"expose_as", "exclude"}
	reportKeys = []string{"junit", "codequality", "sast", "secret_detection", "dependency_scanning",
		"container_scanning", "cluster_image_scanning", "dast", "performance", "browser_performance",
		"load_performance", "license_scanning", "metrics", "lsif", "dotenv", "terraform", "accessibility",
		"coverage_fuzzing", "api_fuzzing", "cluster_applications", "requirements", "requirements_v2",
		"coverage_report", "cyclonedx", "annotations", "repository_xray", "scip"}
)

func (c *compiler) artifacts(location string, v any, job *Job) {
	if v == nil {
		return
	}
	h, ok := v.(*hash)
	if !ok {
		c.note(location, "config should be a hash")
		return
	}
	c.noteUnknown(location, h, artifactKeys)
	if p := h.get("paths"); p != nil {
		if job.Artifacts, ok = stringList(p); !ok {
			c.note(location, "paths should be an array of strings")
		}
	}
	if w := h.get("when"); w != nil {
		job.ArtifactsWhen = text(w)
		if !slices.Contains([]string{"on_success", "on_failure", "always"}, job.ArtifactsWhen) {
			c.note(location, "when should be on_success, on_failure or always")
		}
	}
	r := h.get("reports")
	if r == nil {
		return
	}
	reports, ok := r.(*hash)
	if !ok {
		c.note(under(location, "reports"), "config should be a hash")
		return
	}
	c.noteUnknown(under(location, "reports"), reports, reportKeys)
	if d := reports.get("dotenv"); d != nil {
		if job.Dotenv, ok = stringOrList(d); !ok {
			c.note(under(location, "reports"), "dotenv should be an array of strings or a string")
		}
	}
}
