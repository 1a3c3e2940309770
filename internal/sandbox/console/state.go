package console

import (
	"encoding/json"
	"path/filepath"

	files "gitlab.sikt.no/platon/ecrferry/internal/sandbox/state"
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

func load(path string) (state, error) {
	st := state{Projects: map[int64]registration{}}
	return st, files.Load(path, &st)
}

// file is where the state is kept; "" keeps it in memory.
func (o Options) file() string {
	if o.Dir == "" {
		return ""
	}
	return filepath.Join(o.Dir, "console.json")
}

// save writes the state. The caller holds s.mu.
func (s *Server) save() error {
	content, err := json.Marshal(s.state)
	if err != nil {
		return err
	}
	return files.Write(s.opts.file(), content)
}
