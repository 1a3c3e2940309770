package gitlab

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	files "gitlab.sikt.no/platon/ecrferry/internal/sandbox/state"
)

// created is when everything of a new server came to be.
var created = time.Date(2024, 1, 15, 8, 0, 0, 0, time.UTC)

// saveDelay is how long a change may wait before it is written.
const saveDelay = 100 * time.Millisecond

// saver writes what changed, a moment after the first change.
type saver struct {
	s       *Server
	mu      sync.Mutex // held while writing, so that files are replaced in order
	dirty   map[int64]bool
	server  bool
	pending bool
}

func newSaver(s *Server) *saver { return &saver{s: s, dirty: map[int64]bool{}} }

// dirtyServer notes that something outside the projects changed. s.mu is held.
func (s *Server) dirtyServer() { s.saver.server = true; s.saver.schedule() }

// touch notes that a project changed. s.mu is held.
func (s *Server) touch(p *project) {
	s.saver.dirty[p.ID] = true
	s.saver.schedule()
	s.changed.Broadcast()
}

func (v *saver) schedule() {
	if v.pending || v.s.opt.Dir == "" || v.s.closed {
		return
	}
	v.pending = true
	time.AfterFunc(saveDelay, func() {
		if err := v.flush(); err != nil {
			v.s.log.Error("gitlab stand-in: state not saved", "error", err)
		}
	})
}

// flush writes all that changed since the last time.
func (v *saver) flush() error {
	if v.s.opt.Dir == "" {
		return nil
	}
	v.mu.Lock()
	defer v.mu.Unlock()

	texts := map[string][]byte{}
	v.s.mu.Lock()
	v.pending = false
	var errs []error
	add := func(name string, value any) {
		text, err := json.Marshal(value)
		errs = append(errs, err)
		texts[filepath.Join(v.s.opt.Dir, name)] = text
	}
	for id := range v.dirty {
		add(projectFile(id), v.s.st.projects[id])
	}
	clear(v.dirty)
	if v.server {
		add("server.json", v.s.st)
	}
	v.server = false
	v.s.mu.Unlock()

	for name, text := range texts {
		errs = append(errs, files.Write(name, text))
	}
	return errors.Join(errs...)
}

func (v *saver) close() error {
	v.s.mu.Lock()
	v.server = true
	v.s.mu.Unlock()
	return v.flush()
}

func projectFile(id int64) string { return fmt.Sprintf("project-%d.json", id) }

// load reads the state, or makes a new one with the bot and a human developer.
func (s *Server) load() error {
	s.st = state{LastID: 1000, Writes: map[string]int{}, projects: map[int64]*project{}, moved: map[string]int64{}}
	s.jobs, s.pipes = map[int64]*job{}, map[int64]*pipeline{}
	if s.opt.Dir != "" {
		if err := s.read(); err != nil {
			return err
		}
	}
	if s.st.Users == nil {
		s.st.Users = []*user{
			{ID: 2, Username: "group_1_bot_7d1c4e0a", Name: "ecrferry", Token: BotToken, Bot: true, Level: Maintainer, Roles: map[string]int{}},
			{ID: 3, Username: "kari.nordmann", Name: "Kari Nordmann", Level: Maintainer, Roles: map[string]int{}},
		}
	}
	return nil
}

// humanID is the developer who makes the commits that do not come by the API.
const humanID = 3

func (s *Server) read() error {
	if err := os.MkdirAll(s.opt.Dir, 0o700); err != nil {
		return err
	}
	text, err := os.ReadFile(filepath.Join(s.opt.Dir, "server.json"))
	if err == nil {
		err = json.Unmarshal(text, &s.st)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	names, err := filepath.Glob(filepath.Join(s.opt.Dir, "project-*.json"))
	if err != nil {
		return err
	}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		p := &project{}
		if err := json.Unmarshal(text, p); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		s.index(p)
	}
	return nil
}

// index makes a project's parts findable. The files of projects and server are
// not written at the same instant: ids go on after the highest one seen anywhere.
func (s *Server) index(p *project) {
	s.st.projects[p.ID] = p
	for _, path := range p.FormerPaths {
		s.st.moved[strings.ToLower(path)] = p.ID
	}
	for _, x := range p.Pipelines {
		s.pipes[x.ID] = x
		s.st.LastID = max(s.st.LastID, x.ID)
	}
	for _, j := range p.Jobs {
		s.jobs[j.ID] = j
		s.st.LastID = max(s.st.LastID, j.ID)
	}
	for _, d := range p.Deployments {
		s.st.LastID = max(s.st.LastID, d.ID)
	}
	for _, e := range p.Environments {
		s.st.LastID = max(s.st.LastID, e.ID)
	}
	for _, m := range p.MRs {
		s.st.LastID = max(s.st.LastID, m.ID)
		for _, n := range m.Notes {
			s.st.LastID = max(s.st.LastID, n.ID)
		}
	}
	s.st.LastID = max(s.st.LastID, p.ID)
}

// Writes counts the changes that came through the API, by kind: commits,
// branches, merge_requests, merges, notes, pipelines, variables, plays, retries,
// cancels. What the Go methods do is not in it.
func (s *Server) Writes() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.st.Writes)
}
