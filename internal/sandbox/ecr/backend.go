package ecr

import (
	"bytes"
	"fmt"
	"net/http"

	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/oci/distribution"
)

// backend is the Distribution registry that keeps layers and, by digest only,
// manifests. Tags are the index's business.
type backend struct{ *distribution.Registry }

// answer is a response of the registry, kept whole.
type answer struct {
	Code   int
	Body   bytes.Buffer
	header http.Header
}

func (a *answer) Header() http.Header         { return a.header }
func (a *answer) WriteHeader(status int)      { a.Code = status }
func (a *answer) Write(p []byte) (int, error) { return a.Body.Write(p) }

// do asks the registry without a network between.
func (b backend) do(method, target, contentType string, body []byte) *answer {
	a := &answer{Code: http.StatusOK, header: http.Header{}}
	r, err := http.NewRequest(method, target, bytes.NewReader(body)) //nolint:noctx // nothing to cancel: it is a call
	if err != nil {
		a.Code = http.StatusBadRequest
		a.Body.WriteString(err.Error())
		return a
	}
	r.Host = "layers"
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
		r.Header.Set("Accept", contentType)
	}
	b.ServeHTTP(a, r)
	return a
}

func (b backend) manifest(repository, digest, mediaType string) ([]byte, error) {
	w := b.do(http.MethodGet, "/v2/"+repository+"/manifests/"+digest, mediaType, nil)
	if w.Code != http.StatusOK {
		return nil, fmt.Errorf("read manifest %s of %s: status %d: %s", digest, repository, w.Code, w.Body.String())
	}
	return w.Body.Bytes(), nil
}

func (b backend) putManifest(repository, digest, mediaType string, content []byte) error {
	w := b.do(http.MethodPut, "/v2/"+repository+"/manifests/"+digest, mediaType, content)
	if w.Code != http.StatusCreated {
		return fmt.Errorf("keep manifest %s of %s: status %d: %s", digest, repository, w.Code, w.Body.String())
	}
	return nil
}

func (b backend) putBlob(repository, digest string, content []byte) error {
	w := b.do(http.MethodPost, "/v2/"+repository+"/blobs/uploads/", "", nil)
	if w.Code != http.StatusAccepted {
		return fmt.Errorf("keep layer %s of %s: status %d: %s", digest, repository, w.Code, w.Body.String())
	}
	w = b.do(http.MethodPut, w.Header().Get("Location")+"&digest="+digest, "application/octet-stream", content)
	if w.Code != http.StatusCreated {
		return fmt.Errorf("keep layer %s of %s: status %d: %s", digest, repository, w.Code, w.Body.String())
	}
	return nil
}

// size returns a layer's size.
func (b backend) size(repository, digest string) (int64, error) {
	w := b.do(http.MethodHead, "/v2/"+repository+"/blobs/"+digest, "", nil)
	var n int64
	if _, err := fmt.Sscan(w.Header().Get("Content-Length"), &n); err != nil || w.Code != http.StatusOK {
		return 0, fmt.Errorf("size of layer %s of %s: status %d, length %q", digest, repository, w.Code, w.Header().Get("Content-Length"))
	}
	return n, nil
}

// remove drops a manifest or layer of a repository.
func (b backend) remove(repository, kind, digest string) error {
	w := b.do(http.MethodDelete, "/v2/"+repository+"/"+kind+"/"+digest, "", nil)
	if w.Code != http.StatusAccepted && w.Code != http.StatusNotFound {
		return fmt.Errorf("remove %s %s of %s: status %d: %s", kind, digest, repository, w.Code, w.Body.String())
	}
	return nil
}
