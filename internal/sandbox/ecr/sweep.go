package ecr

import (
	"maps"
	"slices"
	"strings"
	"time"
)

const (
	// idle is how long the platform keeps an image that nothing runs.
	idle = 24 * time.Hour
	// orphaned is how long a layer may wait for its manifest.
	orphaned = time.Hour
)

// Sweep is the platform's clean-up: it deletes images that were pushed more
// than a day ago and that the PaaS does not run. What an image that stays
// consists of stays too, and what has it as its subject. It returns the
// deleted images as repository@digest, sorted.
func (s *Server) Sweep() []string {
	var used []string
	if s.options.InUse != nil {
		used = s.options.InUse()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	kept := s.marked(used)
	var deleted []string
	for _, name := range slices.Sorted(maps.Keys(s.kept.Repositories)) {
		r := s.kept.Repositories[name]
		for _, digest := range r.digests() {
			img := r.Images[digest]
			if kept[name+"@"+digest] {
				continue
			}
			if err := s.remove(r, img); err != nil {
				s.options.Log.Error("image is not cleaned up", "repository", name, "digest", digest, "error", err)
				continue
			}
			deleted = append(deleted, name+"@"+digest)
		}
		s.dropLayers(r)
	}
	if len(deleted) > 0 {
		s.options.Log.Info("cleaned up", "images", len(deleted))
	}
	return deleted
}

// marked finds the images that stay: those in use or young, and what belongs
// to them. The caller holds the lock.
func (s *Server) marked(used []string) map[string]bool {
	kept := map[string]bool{}
	var mark func(r *repository, digest string, referrers bool)
	mark = func(r *repository, digest string, referrers bool) {
		img := r.Images[digest]
		if img == nil || kept[r.Name+"@"+digest] && !referrers {
			return
		}
		kept[r.Name+"@"+digest] = true
		for _, child := range img.Children {
			mark(r, child, referrers)
		}
		if !referrers {
			return
		}
		for _, d := range r.referrers(digest, nil) {
			mark(r, d, true)
		}
	}
	for _, reference := range used {
		name, id := s.split(reference)
		if r := s.kept.Repositories[name]; r != nil {
			if img := r.find(id); img != nil {
				mark(r, img.Digest, true)
			}
		}
	}
	for _, r := range s.kept.Repositories {
		for digest, img := range r.Images {
			if s.now().Sub(img.Pushed) <= idle {
				mark(r, digest, false)
			}
		}
	}
	return kept
}

// split takes an image reference apart.
func (s *Server) split(reference string) (repository string, id imageID) {
	reference = strings.TrimPrefix(reference, s.Registry+"/")
	name, digest, _ := strings.Cut(reference, "@")
	id.ImageDigest = digest
	if i := strings.LastIndex(name, ":"); i > strings.LastIndex(name, "/") {
		if digest == "" { // a digest wins over the tag beside it
			id.ImageTag = name[i+1:]
		}
		name = name[:i]
	}
	return name, id
}

// dropLayers forgets layers that no manifest names; the caller holds the lock.
func (s *Server) dropLayers(r *repository) {
	needed := map[string]bool{}
	for _, img := range r.Images {
		for _, digest := range img.Blobs {
			needed[digest] = true
		}
	}
	for digest, l := range r.Layers {
		if needed[digest] || s.now().Sub(l.Uploaded) <= orphaned {
			continue
		}
		if err := s.backend.remove(r.Name, "blobs", digest); err != nil {
			s.options.Log.Error("layer is not cleaned up", "repository", r.Name, "digest", digest, "error", err)
			continue
		}
		delete(r.Layers, digest)
		s.saver.Changed()
	}
}

// sweepRegularly sweeps whenever the sandbox's clock has gone far enough. The
// clock may jump, so it is looked at often instead of waited for.
func (s *Server) sweepRegularly() {
	last := s.now()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-s.stop:
			return
		case <-tick.C:
			if s.now().Sub(last) >= s.options.SweepEvery {
				last = s.now()
				s.Sweep()
			}
		}
	}
}
