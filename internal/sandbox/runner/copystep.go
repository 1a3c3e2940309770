package runner

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/bmatcuk/doublestar/v4"

	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/oci"
)

// maxLayer is how many bytes one COPY may bring.
const maxLayer = 32 << 20

func (c *call) copyStep(b recipe, stages []stage, built map[int]*made, i int, in instruction, m *made, expand func(string) (string, error)) (oci.Layer, error) {
	layer := oci.Layer{}
	if len(in.args) < 2 {
		return layer, fmt.Errorf("dockerfile parse error on line %d: %s requires at least two arguments", in.line, in.verb)
	}
	words := make([]string, len(in.args))
	for k, a := range in.args {
		w, err := expand(a)
		if err != nil {
			return nil, err
		}
		words[k] = w
	}
	dest := words[len(words)-1]
	target := strings.TrimPrefix(virtual(cmp.Or(m.config.WorkingDir, "/"), dest), "/")
	directory := strings.HasSuffix(dest, "/") || dest == "." || len(words) > 2
	if name := in.from(); name != "" {
		files, base, err := c.copyFrom(b, stages, built, i, m, name)
		if err != nil {
			return nil, err
		}
		for _, source := range words[:len(words)-1] {
			pick(layer, files, strings.Trim(source, "/"), target, directory)
			layer[fmt.Sprintf("var/lib/sandbox/copy/%s", path.Join(target, path.Base(source)))] = base + ":" + source
		}
		return layer, nil
	}
	ignore := ignored("")
	if content, err := c.disk.read(path.Join(b.context, ".dockerignore")); err == nil {
		ignore = ignored(string(content))
	}
	size := 0
	for k, source := range words[:len(words)-1] {
		if strings.HasPrefix(source, "<<") {
			if k < len(in.docs) {
				layer[target] = in.docs[k]
			}
			continue
		}
		if strings.Contains(source, "://") {
			layer[path.Join(target, path.Base(source))] = source
			continue
		}
		found := 0
		source = strings.TrimPrefix(path.Clean("/"+source), "/")
		err := c.disk.walk(b.context, func(name string, info fs.FileInfo) error {
			rel, ok := under(source, name)
			if !ok || ignore(name) {
				return nil
			}
			if size += int(info.Size()); size > maxLayer {
				return errors.New("no space left on device")
			}
			content, err := c.disk.read(path.Join(b.context, name))
			if err != nil {
				return err
			}
			found++
			to := path.Join(target, rel)
			if rel == "" {
				if to = target; directory {
					to = path.Join(target, path.Base(name))
				}
			}
			layer[to] = string(content)
			return nil
		})
		if err != nil {
			return nil, err
		}
		if found == 0 && source != "" {
			if c.j.o.StrictContext {
				return nil, fmt.Errorf("failed to compute cache key: failed to calculate checksum of ref: %q: not found", "/"+source)
			}
			fmt.Fprintf(c.err, "#3 %s is not in the context; an empty file stands in for it\n", source)
			to := target
			if directory {
				to = path.Join(target, path.Base(source))
			}
			layer[to] = ""
		}
	}
	return layer, nil
}

// copyFrom returns the files of a stage or image that COPY --from names.
func (c *call) copyFrom(b recipe, stages []stage, built map[int]*made, i int, m *made, name string) (files map[string]string, id string, err error) {
	files = map[string]string{}
	if k, ok := find(stages, name, i); ok {
		// What that stage's RUN made there cannot be seen; its names can.
		m.provides = append(m.provides, built[k].provides...)
		for _, l := range built[k].layers {
			for f, content := range l {
				files[f] = content
			}
		}
		return files, oci.Digest([]byte(fmt.Sprint(built[k].layers))), nil
	}
	from, err := c.base(b, stages, built, i, name)
	if err != nil {
		return nil, "", err
	}
	m.provides = append(m.provides, from.provides...)
	for _, l := range from.layers {
		for f, content := range l {
			files[f] = content
		}
	}
	return files, name, nil
}

func pick(layer oci.Layer, files map[string]string, source, target string, directory bool) {
	for name, content := range files {
		if strings.HasPrefix(name, "var/lib/sandbox/") {
			continue
		}
		rel, ok := under(source, name)
		if !ok {
			continue
		}
		to := path.Join(target, rel)
		if rel == "" && directory {
			to = path.Join(target, path.Base(name))
		}
		layer[to] = content
	}
}

// under tells whether a file is what a COPY source names, and its path below a
// source that is a directory.
func under(source, name string) (rel string, ok bool) {
	switch {
	case source == "" || source == ".":
		return name, true
	case source == name:
		return "", true
	case strings.HasPrefix(name, source+"/"):
		return strings.TrimPrefix(name, source+"/"), true
	}
	if !strings.ContainsAny(source, "*?[") {
		return "", false
	}
	for dir := name; dir != "."; dir = path.Dir(dir) {
		if match, _ := path.Match(source, dir); match {
			return strings.TrimPrefix(strings.TrimPrefix(name, dir), "/"), true
		}
	}
	return "", false
}

// matchPath matches a .dockerignore pattern against a file or one of the
// directories above it.
func matchPath(pattern, name string) bool {
	for p := name; p != "."; p = path.Dir(p) {
		if ok, _ := doublestar.Match(pattern, p); ok {
			return true
		}
	}
	return false
}
