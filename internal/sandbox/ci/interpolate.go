package ci

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
)

var block = regexp.MustCompile(`\$\[\[\s*(\S.*?)\s*\]\]`)

// interpolate puts input values into a configuration's text, before it is
// parsed: strings as they are, everything else as JSON.
func (c *compiler) interpolate(body string, values map[string]any) (string, error) {
	var problem error
	size := len(body)
	out := block.ReplaceAllStringFunc(body, func(m string) string {
		if problem != nil {
			return m
		}
		v, err := c.access(block.FindStringSubmatch(m)[1], values)
		if err != nil {
			problem = err
			return m
		}
		s, ok := v.(string)
		if !ok && v != nil {
			raw, err := json.Marshal(plain(v))
			if err != nil {
				problem = err
				return m
			}
			s = string(raw)
		}
		if size += len(s); size > maxText {
			problem = errors.New("config too large")
		}
		return s
	})
	return out, problem
}

// access evaluates `inputs.name | function | …`.
func (c *compiler) access(data string, values map[string]any) (any, error) {
	parts := strings.Split(data, "|")
	path := strings.SplitN(strings.TrimSpace(parts[0]), ".", 5)
	if path[0] == "matrix" {
		return "$[[ " + data + " ]]", nil
	}
	if len(path) < 2 {
		return nil, errors.New("invalid interpolation access pattern")
	}
	if path[0] != "inputs" {
		return nil, fmt.Errorf("unknown interpolation key: `%s`", path[0])
	}
	v, ok := values[path[1]]
	if !ok || len(path) > 2 {
		return nil, fmt.Errorf("unknown interpolation key: `%s`", path[len(path)-1])
	}
	if len(parts) > 4 {
		return nil, errors.New("too many functions in interpolation block")
	}
	for _, f := range parts[1:] {
		var err error
		if v, err = c.function(strings.TrimSpace(f), v); err != nil {
			return nil, err
		}
	}
	return v, nil
}

var truncate = regexp.MustCompile(`^truncate\(\s*(\d{1,9})\s*,\s*(\d{1,9})\s*\)?$`)

func (c *compiler) function(f string, v any) (any, error) {
	s, isString := v.(string)
	switch {
	case f == "expand_vars":
		if !isString {
			return nil, errors.New("error in `expand_vars` function: invalid input type: expand_vars can only be used with string inputs")
		}
		return expandExisting(s, c.known), nil
	case truncate.MatchString(f):
		if !isString {
			return nil, errors.New("error in `truncate` function: invalid input type: truncate can only be used with string inputs")
		}
		m := truncate.FindStringSubmatch(f)
		var offset, length int
		_, _ = fmt.Sscan(m[1], &offset)
		_, _ = fmt.Sscan(m[2], &length)
		r := []rune(s)
		offset = min(offset, len(r))
		return string(r[offset:min(len(r), offset+length)]), nil
	case f == "posix_escape" && isString:
		return posixEscape(s), nil
	}
	return nil, fmt.Errorf("no function matching `%s`: check that the function name, arguments, and types are correct", f)
}

var unsafeByte = regexp.MustCompile(`[^A-Za-z0-9_\-.,:+/@\n]`)

// posixEscape quotes a string as Ruby's Shellwords does.
func posixEscape(s string) string {
	if s == "" {
		return "''"
	}
	return strings.ReplaceAll(unsafeByte.ReplaceAllString(s, `\$0`), "\n", "'\n'")
}
