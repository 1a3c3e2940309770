// Package distribution starts the CNCF Distribution registry inside this
// process, as the real thing behind both registry stand-ins. See
// https://distribution.github.io/distribution/about/configuration/.
package distribution

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"sync"

	"github.com/distribution/distribution/v3/configuration"
	"github.com/distribution/distribution/v3/registry/handlers"
	_ "github.com/distribution/distribution/v3/registry/storage/driver/filesystem" // by name, for registries with a directory
	"github.com/sirupsen/logrus"
)

// Options of a registry.
type Options struct {
	Dir     string // where blobs and manifests are kept; "" keeps them in memory
	Delete  bool   // allow DELETE
	MaxTags int    // the most tags in one page; 0 means 1000

	// Auth names an access controller registered with Distribution's auth
	// package, AuthOptions is what it gets; "" lets everybody in.
	Auth        string
	AuthOptions map[string]any
}

// Registry is a running registry: an http.Handler of /v2/.
type Registry struct{ app *handlers.App }

// quiet stops Distribution's log: it goes to logrus' global logger, several
// lines a request, and cannot be injected.
var quiet = sync.OnceFunc(func() { logrus.SetOutput(io.Discard) })

// New starts a registry. Its options are checked by Distribution, whose
// panics come back as errors.
func New(o Options) (registry *Registry, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("start registry: %v", r)
		}
	}()
	quiet()
	config := &configuration.Configuration{Storage: configuration.Storage{
		"delete":      {"enabled": o.Delete},
		"maintenance": {"uploadpurging": map[any]any{"enabled": false}}, // a goroutine that outlives the registry
	}}
	if o.Dir == "" {
		config.Storage[driverName] = configuration.Parameters{}
	} else {
		config.Storage["filesystem"] = configuration.Parameters{"rootdirectory": o.Dir}
	}
	config.HTTP.Secret = rand.Text()
	config.Catalog.MaxEntries = 1000
	config.Tags.MaxTags = 1000
	if o.MaxTags > 0 {
		config.Tags.MaxTags = o.MaxTags
	}
	// Foreign layers, as Windows images have them, may point anywhere.
	config.Validation.Manifests.URLs.Allow = []string{".*"}
	if o.Auth != "" {
		config.Auth = configuration.Auth{o.Auth: o.AuthOptions}
	}
	return &Registry{app: handlers.NewApp(context.Background(), config)}, nil
}

// ServeHTTP answers a registry request.
func (r *Registry) ServeHTTP(w http.ResponseWriter, req *http.Request) { r.app.ServeHTTP(w, req) }

// Close ends the registry.
func (r *Registry) Close() error { return r.app.Shutdown() }
