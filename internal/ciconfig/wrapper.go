package ciconfig

import (
	"path"
	"slices"
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

// from is the command without what stands before its argument i: the command
// that sudo or a function starts.
func (c *command) from(i int) *command {
	inner := *c
	inner.args, inner.words = c.args[i:], c.words[i:]
	inner.alt, inner.nth = c.alt[i:], c.nth[i:]
	skip := c.pos[i]
	inner.lits = c.lits[skip:]
	inner.pos = nil
	for _, p := range c.pos[i:] {
		inner.pos = append(inner.pos, max(p-skip, 0))
	}
	return &inner
}

// wrapping bounds how many words of its own a wrapper is given: with_retry 3.
const wrapping = 4

// wrapped is the place of the image tool that a command which is none itself is
// told to start, 0 when there is none: nix_run skopeo copy, try_hard docker push.
func (c *command) wrapped(name string) int {
	if imageTools[name] || textTools[name] || name == "ssh" || name == "helm" {
		return 0
	}
	own := wrapping
	if name == "xargs" { // -0 -r -n 1 -P 4 -I {}
		own *= 3
	}
	for i := 1; i < min(len(c.args)-1, own+1); i++ {
		if l := c.lit(i); strings.Contains(l, "/") && !strings.HasPrefix(l, "/") {
			continue // an image of that name
		}
		switch tool := path.Base(c.lit(i)); tool {
		case "docker", "podman", "buildah", "nerdctl", "skopeo", "crane", "regctl":
			if next := c.lit(i + 1); strings.HasPrefix(next, "-") || subcommands[next] {
				return i
			}
		}
	}
	return 0
}

// nixRun is the image tool that nix is told to run out of a flake, and the place of the
// dashes before what it gets: nix run nixpkgs#skopeo -- copy.
// https://nix.dev/manual/nix/stable/command-ref/new-cli/nix3-run
func (c *command) nixRun() (tool string, i int) {
	if c.lit(0) != "nix" || len(c.args) < 5 || c.lit(1) != "run" {
		return "", 0
	}
	for i := 2; i < len(c.args)-1; i++ {
		if _, name, ok := strings.Cut(c.lit(i), "#"); ok && imageTools[name] {
			tool = name
		}
		if tool != "" && c.lit(i) == "--" {
			return tool, i
		}
	}
	return "", 0
}

// started is the command that starts another one at i, with what it puts in there open.
func (c *command) started(i int) *command {
	out := *c
	out.item = c.placeholder(i)
	out.open(out.item)
	return &out
}

// placeholder is the word in whose place xargs puts each line that it reads, and find each
// file, before the command at i, or "".
func (c *command) placeholder(i int) string {
	switch path.Base(c.lit(0)) {
	case "find", "parallel":
		return "{}"
	case "xargs":
	default:
		return ""
	}
	for k := 1; k < i; k++ {
		switch l := c.lit(k); {
		case l == "-I" || l == "--replace":
			return c.lit(k + 1)
		case l == "-i":
			return "{}"
		case strings.HasPrefix(l, "-I"):
			return l[2:]
		case strings.HasPrefix(l, "--replace="):
			return strings.TrimPrefix(l, "--replace=")
		}
	}
	return ""
}

// open makes holes of the places of a word for which something else is put in.
func (c *command) open(word string) {
	if word == "" {
		return
	}
	c.args = slices.Clone(c.args)
	for k, t := range c.args {
		var out text
		for _, p := range t {
			for at := 0; p.hole == ""; {
				i := strings.Index(p.text[at:], word)
				if i < 0 {
					p = p.slice(at, len(p.text))
					break
				}
				if i > 0 {
					out = append(out, p.slice(at, at+i))
				}
				hole := p.slice(at+i, at+i+len(word))
				hole.text, hole.hole = "", word
				out = append(out, hole)
				at += i + len(word)
			}
			if p.hole != "" || p.text != "" {
				out = append(out, p)
			}
		}
		if len(out) > len(t) {
			c.args[k] = out
		}
	}
	c.lits = slices.Clone(c.lits)
	for k, p := range c.pos {
		if c.alt[k] == 0 && p < len(c.lits) {
			c.lits[p] = c.args[k].String()
		}
	}
}

// open is the script with what is put in as a variable, _item.
func (c *chunk) open(word string) *chunk {
	if word == "" || !strings.Contains(c.text, word) {
		return c
	}
	out := &chunk{src: c.src}
	var b []byte
	for at := 0; ; {
		i := strings.Index(c.text[at:], word)
		if i < 0 {
			i = len(c.text) - at
		}
		for _, p := range c.pieces(at, at+i) {
			out.add(&b, p.text, p.at.start, p.at.end)
		}
		if at += i; at == len(c.text) {
			break
		}
		s := c.span(at, at+len(word))
		out.add(&b, "${_item}", s.start, s.end)
		at += len(word)
	}
	out.text = string(b)
	return out
}

// subcommands tell a tool that is started from a word that is its name.
var subcommands = map[string]bool{
	"build": true, "buildx": true, "bud": true, "push": true, "pull": true, "tag": true, "run": true, "copy": true, "cp": true, "image": true,
	"manifest": true, "compose": true, "login": true, "logout": true, "inspect": true, "auth": true, "delete": true, "save": true, "create": true,
}

// runsArguments says whether a function starts what it is given.
func runsArguments(body *syntax.Stmt) bool {
	found := false
	syntax.Walk(body, func(n syntax.Node) bool {
		if c, ok := n.(*syntax.CallExpr); ok && len(c.Args) > 0 && len(c.Args[0].Parts) == 1 {
			part := c.Args[0].Parts[0]
			if q, ok := part.(*syntax.DblQuoted); ok && len(q.Parts) == 1 {
				part = q.Parts[0]
			}
			if p, ok := part.(*syntax.ParamExp); ok && p.Param != nil && (p.Param.Value == "@" || p.Param.Value == "*") {
				found = true
			}
		}
		return !found
	})
	return found
}
