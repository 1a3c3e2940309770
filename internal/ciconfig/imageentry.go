package ciconfig

import (
	"path"
	"regexp"
	"slices"
	"strings"
)

// An image may have an entrypoint of its own. A runner on Docker starts it with a shell as the
// command, whose script comes on standard input; one on Kubernetes leaves it out. So a job that
// has worked so far needs no entrypoint that is a shell, and none that takes no command.
// https://docs.gitlab.com/runner/executors/docker/#configure-a-docker-entrypoint

// imageEntries are the entrypoints of the own images in which jobs run, by the name of the job,
// as far as the builds of the image are seen and their Dockerfiles are there.
func (r *run) imageEntries() map[string][]string {
	builds := map[string][]*build{}
	of := map[*command]*build{}
	for _, b := range r.builds {
		of[b.cmd] = b
	}
	for _, u := range r.uses {
		if b := of[u.cmd]; b != nil && u.ref.own && u.role == imageRole {
			builds[u.ref.name()] = append(builds[u.ref.name()], b)
		}
	}
	out := map[string][]string{}
	for _, u := range r.uses {
		if u.command != "image" || !u.ref.own || u.ref.host {
			continue
		}
		words := r.entryOf(builds[u.ref.name()])
		for _, j := range u.jobs() {
			if j != nil && words != nil {
				out[j.name] = words
			}
		}
	}
	return out
}

// entryOf is the entrypoint that all of some builds give an image, nil where they differ.
func (r *run) entryOf(builds []*build) (words []string) {
	first := true
	for _, b := range builds {
		for f := range b.files {
			s := r.find(f)
			if s == nil || s.instructions() == nil {
				return nil
			}
			w := s.entrypoint(b.target())
			if !first && !slices.Equal(w, words) {
				return nil
			}
			words, first = w, false
		}
	}
	return words
}

// target is the stage that a build makes, "" for the last one.
func (b *build) target() string {
	for i, l := range b.cmd.lits {
		if v, ok := strings.CutPrefix(l, "--target="); ok {
			return v
		}
		if l == "--target" && i+1 < len(b.cmd.lits) {
			return b.cmd.lits[i+1]
		}
	}
	return ""
}

// entrypoint is what a stage of a Dockerfile has in the form of a list, from the stage that it
// begins with, where it has none of its own.
// https://docs.docker.com/reference/dockerfile/#entrypoint
func (s *source) entrypoint(target string) (words []string) {
	stages, name := map[string][]string{}, ""
	for _, n := range s.instructions().Children {
		switch strings.ToLower(n.Value) {
		case "from":
			if name != "" && name == strings.ToLower(target) {
				return words
			}
			var all []string
			for x := n.Next; x != nil; x = x.Next {
				all = append(all, strings.ToLower(x.Value))
			}
			words, name = nil, ""
			if len(all) > 0 {
				words = stages[all[0]]
			}
			if len(all) == 3 && all[1] == "as" {
				name = all[2]
			}
		case "entrypoint":
			words = nil
			for x := n.Next; x != nil && n.Attributes["json"]; x = x.Next {
				words = append(words, x.Value)
			}
		}
		stages[name] = words
	}
	return words
}

// startsCommand is a program that is there to start the command behind it.
var startsCommand = regexp.MustCompile(`(?i)(entry-?point|init|\.sh$|^(tini|dumb-init|gosu|su-exec|env|exec|catatonit)$|\$@)`)

// withEntry is the image of a job with the entrypoint that its Dockerfile gives it, where that
// must not stay: a shell, or a program that takes no command.
func (s imageSpec) withEntry(words []string) imageSpec {
	if s.hasEntry || len(words) == 0 || slices.ContainsFunc(words, func(w string) bool { return startsCommand.MatchString(path.Base(w)) }) {
		return s
	}
	s.hasEntry = true
	if _, shell := (imageSpec{entrypoint: words}).entryParts(); shell != nil {
		s.entrypoint = words
	}
	return s
}
