package console

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// state is what console.json holds.
type state struct {
	Token    string
	Projects map[int64]registration
	Writes   int
}

type registration struct {
	Path       string
	Repository string
}

const stateFile = "console.json"

func load(dir string) (state, error) {
	st := state{Projects: map[int64]registration{}}
	if dir == "" {
		return st, nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return st, err
	}
	b, err := os.ReadFile(filepath.Join(dir, stateFile))
	if errors.Is(err, fs.ErrNotExist) {
		return st, nil
	}
	if err == nil {
		err = json.Unmarshal(b, &st)
	}
	if err != nil {
		return st, fmt.Errorf("state of the console: %w", err)
	}
	return st, nil
}

// save replaces the file in one step, so that a killed process leaves a whole
// one. The caller holds s.mu.
func (s *Server) save() error {
	if s.opts.Dir == "" {
		return nil
	}
	b, err := json.Marshal(s.state)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(s.opts.Dir, stateFile+".*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(b)
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), filepath.Join(s.opts.Dir, stateFile))
}
