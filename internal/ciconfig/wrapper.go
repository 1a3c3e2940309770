package ciconfig

import (
	"path"
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
