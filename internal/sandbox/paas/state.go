package paas

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// Workload is a workload and what it runs.
type Workload struct {
	Kind        string // Deployment, StatefulSet, DaemonSet, CronJob, Job
	Namespace   string
	Name        string
	Environment string // of the deployment that applied it last
	Labels      map[string]string
	Containers  []Container
	Replicas    int32
	Generation  int64
	Created     time.Time
	Applied     time.Time

	// Manifest is the object as it was applied, in JSON.
	Manifest json.RawMessage
}

// Container is one container (or init container) of a workload.
type Container struct {
	Name    string
	Image   string // as the manifest names it
	ImageID string // host/repository@sha256:…
	Init    bool   `json:",omitempty"`
}

func (w *Workload) clone() Workload {
	c := *w
	c.Containers = slices.Clone(w.Containers)
	return c
}

// state is what paas.json holds.
type state struct {
	Token      string
	Identity   identity
	Workloads  map[string]*Workload       // namespace/Kind/name
	Others     map[string]json.RawMessage // the same, kinds that run no image
	Namespaces map[string]time.Time
	Writes     int
}

const stateFile = "paas.json"

func load(dir string) (state, error) {
	st := state{
		Workloads:  map[string]*Workload{},
		Others:     map[string]json.RawMessage{},
		Namespaces: map[string]time.Time{},
	}
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
		return st, fmt.Errorf("state of the cluster: %w", err)
	}
	return st, nil
}

// save writes the state so that a killed process leaves either the old or the
// new file. The caller holds s.mu.
func (s *Server) save() error {
	if s.opts.Dir == "" {
		return nil
	}
	b, err := json.Marshal(s.state) // not indented: that would rewrite the manifests
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

func key(namespace, kind, name string) string { return namespace + "/" + kind + "/" + name }
