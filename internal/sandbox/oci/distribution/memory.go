package distribution

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"path"
	"slices"
	"sync"
	"time"

	"github.com/distribution/distribution/v3/registry/storage/driver"
	"github.com/distribution/distribution/v3/registry/storage/driver/factory"
)

// driverName is the storage driver of registries without a directory.
// Distribution's own in-memory driver (v3.1.2) loses a directory that holds a
// child of the same name: a repository app/app, a tag named tags.
const driverName = "sandboxmemory"

func init() { factory.Register(driverName, memoryFactory{}) }

type memoryFactory struct{}

func (memoryFactory) Create(context.Context, map[string]any) (driver.StorageDriver, error) {
	return &memory{files: map[string]*file{}, dirs: map[string]map[string]bool{"/": {}}}, nil
}

// memory is a file tree: files by path, and for every directory its children.
type memory struct {
	mu    sync.RWMutex
	files map[string]*file
	dirs  map[string]map[string]bool
}

type file struct {
	content  []byte // replaced or appended to, never changed in place
	modified time.Time
}

func (m *memory) Name() string { return driverName }

func (m *memory) missing(p string) error {
	return driver.PathNotFoundError{Path: p, DriverName: driverName}
}

// put stores content; the caller holds the lock.
func (m *memory) put(p string, content []byte) {
	m.files[p] = &file{content: content, modified: time.Now()}
	for p != "/" {
		parent := path.Dir(p)
		if m.dirs[parent] == nil {
			m.dirs[parent] = map[string]bool{}
		}
		m.dirs[parent][p] = true
		p = parent
	}
}

func (m *memory) GetContent(_ context.Context, p string) ([]byte, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	f, ok := m.files[p]
	if !ok {
		return nil, m.missing(p)
	}
	return slices.Clone(f.content), nil
}

func (m *memory) PutContent(_ context.Context, p string, content []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.put(p, slices.Clone(content))
	return nil
}

func (m *memory) Reader(_ context.Context, p string, offset int64) (io.ReadCloser, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	f, ok := m.files[p]
	if !ok {
		return nil, m.missing(p)
	}
	if offset < 0 {
		return nil, driver.InvalidOffsetError{Path: p, Offset: offset, DriverName: driverName}
	}
	return io.NopCloser(bytes.NewReader(f.content[min(offset, int64(len(f.content))):])), nil
}

func (m *memory) Writer(_ context.Context, p string, add bool) (driver.FileWriter, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	w := &writer{memory: m, path: p}
	if f, ok := m.files[p]; ok && add {
		w.content = slices.Clone(f.content)
	} else {
		m.put(p, nil)
	}
	return w, nil
}

func (m *memory) Stat(_ context.Context, p string) (driver.FileInfo, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	info := driver.FileInfoFields{Path: p}
	if f, ok := m.files[p]; ok {
		info.Size, info.ModTime = int64(len(f.content)), f.modified
	} else if _, ok := m.dirs[p]; ok {
		info.IsDir = true
	} else {
		return nil, m.missing(p)
	}
	return driver.FileInfoInternal{FileInfoFields: info}, nil
}

func (m *memory) List(_ context.Context, p string) ([]string, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	children, ok := m.dirs[p]
	if !ok {
		return nil, m.missing(p)
	}
	return slices.Sorted(maps.Keys(children)), nil
}

func (m *memory) Move(_ context.Context, from, to string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	f, ok := m.files[from]
	if !ok {
		return m.missing(from)
	}
	m.remove(from)
	m.put(to, f.content)
	return nil
}

func (m *memory) Delete(_ context.Context, p string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.files[p] == nil && m.dirs[p] == nil {
		return m.missing(p)
	}
	m.remove(p)
	return nil
}

// remove deletes a path and all below it; the caller holds the lock.
func (m *memory) remove(p string) {
	for child := range m.dirs[p] {
		m.remove(child)
	}
	delete(m.dirs, p)
	delete(m.files, p)
	delete(m.dirs[path.Dir(p)], p)
}

func (m *memory) RedirectURL(*http.Request, string) (string, error) { return "", nil }

func (m *memory) Walk(ctx context.Context, p string, f driver.WalkFn, options ...func(*driver.WalkOptions)) error {
	return driver.WalkFallback(ctx, m, p, f, options...)
}

// writer collects content and shows it at Close or Commit.
type writer struct {
	memory  *memory
	path    string
	content []byte
	done    bool
}

var errDone = errors.New("writer is closed, committed or cancelled")

func (w *writer) Write(p []byte) (int, error) {
	if w.done {
		return 0, errDone
	}
	w.content = append(w.content, p...)
	return len(p), nil
}

func (w *writer) Size() int64 { return int64(len(w.content)) }

func (w *writer) flush() {
	w.memory.mu.Lock()
	defer w.memory.mu.Unlock()
	w.memory.put(w.path, w.content)
}

func (w *writer) Commit(context.Context) error {
	if w.done {
		return fmt.Errorf("commit %s: %w", w.path, errDone)
	}
	w.done = true
	w.flush()
	return nil
}

func (w *writer) Close() error {
	if !w.done {
		w.done = true
		w.flush()
	}
	return nil
}

func (w *writer) Cancel(ctx context.Context) error {
	if w.done {
		return fmt.Errorf("cancel %s: %w", w.path, errDone)
	}
	w.done = true
	return w.memory.Delete(ctx, w.path)
}
