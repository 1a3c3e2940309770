// Package state keeps what a stand-in must remember in one JSON file: written
// whole, under another name first, so that a killed process leaves the old one
// or the new one.
package state

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// delay collects the changes of a burst into one write.
const delay = 100 * time.Millisecond

// Load reads the file into v. A file that does not exist leaves v as it is.
func Load(path string, v any) error {
	if path == "" {
		return nil
	}
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = json.Unmarshal(content, v)
	}
	if err != nil {
		return fmt.Errorf("load %s: %w", path, err)
	}
	return nil
}

// Saver writes a state file soon after every change and at Close.
type Saver struct {
	path     string
	snapshot func() ([]byte, error)
	log      *slog.Logger

	mu      sync.Mutex
	pending *time.Timer
	closed  bool       // nothing may be written over a successor's file
	write   sync.Mutex // one write at a time, so that the last one wins
}

// NewSaver returns a Saver of path; "" means that nothing is kept. Snapshot is
// called without locks held and must not hand out what changes later.
func NewSaver(path string, log *slog.Logger, snapshot func() ([]byte, error)) *Saver {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Saver{path: path, snapshot: snapshot, log: log}
}

// Changed says that the state should be written within the next 100 ms.
func (s *Saver) Changed() {
	if s.path == "" {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pending != nil || s.closed {
		return
	}
	s.pending = time.AfterFunc(delay, func() {
		s.mu.Lock()
		s.pending = nil
		closed := s.closed
		s.mu.Unlock()
		if closed {
			return
		}
		if err := s.Save(); err != nil {
			s.log.Error("state is not saved", "error", err)
		}
	})
}

// Save writes the state now.
func (s *Saver) Save() error {
	if s.path == "" {
		return nil
	}
	s.write.Lock()
	defer s.write.Unlock()
	content, err := s.snapshot()
	if err != nil {
		return fmt.Errorf("save %s: %w", s.path, err)
	}
	return Write(s.path, content)
}

// Write replaces a file in one step. Writers of one file take turns. An empty
// path keeps nothing.
func Write(path string, content []byte) error {
	if path == "" {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	draft := path + ".new"
	if err := os.WriteFile(draft, content, 0o600); err != nil {
		return err
	}
	return os.Rename(draft, path)
}

// Close stops the timer and writes the state a last time.
func (s *Saver) Close() error {
	s.mu.Lock()
	s.closed = true
	if s.pending != nil {
		s.pending.Stop()
	}
	s.mu.Unlock()
	return s.Save()
}
