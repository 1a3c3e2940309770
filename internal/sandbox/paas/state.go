package paas

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"time"

	files "gitlab.sikt.no/platon/ecrferry/internal/sandbox/state"
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

func load(path string) (state, error) {
	st := state{
		Workloads:  map[string]*Workload{},
		Others:     map[string]json.RawMessage{},
		Namespaces: map[string]time.Time{},
	}
	return st, files.Load(path, &st)
}

// file is where the state is kept; "" keeps it in memory.
func (o Options) file() string {
	if o.Dir == "" {
		return ""
	}
	return filepath.Join(o.Dir, "paas.json")
}

// save writes the state. The caller holds s.mu.
func (s *Server) save() error {
	content, err := json.Marshal(s.state) // not indented: that would rewrite the manifests
	if err != nil {
		return err
	}
	return files.Write(s.opts.file(), content)
}

func key(namespace, kind, name string) string { return namespace + "/" + kind + "/" + name }
