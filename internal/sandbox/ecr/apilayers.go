package ecr

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/oci"
)

const (
	minPart = 5 << 20  // bytes of any part but the last
	maxPart = 10 << 20 // what InitiateLayerUpload tells; the service takes twice as much

	// layersPath is where layers are downloaded without a login, by a signed
	// URL, as from S3.
	layersPath = "/prod-layers/"
	linkLife   = time.Hour
)

// parts is a layer that comes in parts through the API.
type parts struct {
	repository string
	content    bytes.Buffer
	short      bool // a part other than the last was too small
	lastShort  bool
}

func (s *Server) batchCheckLayerAvailability(_ principal, request *batchCheckLayerAvailabilityIn) (*batchCheckLayerAvailabilityOut, *failure) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.repository(request.RepositoryName)
	if n := len(request.LayerDigests); n < 1 || n > maxBatch {
		return nil, invalid("layerDigests", "Member must have length between 1 and 100")
	}
	out := &batchCheckLayerAvailabilityOut{Failures: []layerFailure{}, Layers: []layerOut{}}
	for _, digest := range request.LayerDigests {
		if !digestForm.MatchString(digest) {
			out.Failures = append(out.Failures, layerFailure{
				FailureCode: "InvalidLayerDigest", LayerDigest: digest,
				FailureReason: "Invalid request parameters: layer digest should satisfy the regex '[a-zA-Z0-9-_+.]+:[a-fA-F0-9]+'",
			})
			continue
		}
		one := layerOut{LayerAvailability: "UNAVAILABLE", LayerDigest: digest}
		if l := r.Layers[digest]; l != nil {
			one.LayerAvailability, one.LayerSize = "AVAILABLE", l.Bytes
		}
		out.Layers = append(out.Layers, one)
	}
	return out, nil
}

func (s *Server) initiateLayerUpload(_ principal, request *in) (*initiateLayerUploadOut, *failure) {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := rand.Text()
	s.parts[id] = &parts{repository: request.RepositoryName}
	return &initiateLayerUploadOut{PartSize: maxPart, UploadID: id}, nil
}

// upload finds an upload; the caller holds the lock.
func (s *Server) upload(id, repository string) (*parts, *failure) {
	p := s.parts[id]
	if p == nil || p.repository != repository {
		return nil, exception("UploadNotFoundException", "The upload with id '%s' in the repository with name '%s' in registry with id '%s' does not exist", id, repository, s.options.Account)
	}
	return p, nil
}

func (s *Server) uploadLayerPart(_ principal, request *uploadLayerPartIn) (*uploadLayerPartOut, *failure) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, f := s.upload(request.UploadID, request.RepositoryName)
	if f != nil {
		return nil, f
	}
	have, n := int64(p.content.Len()), int64(len(request.LayerPartBlob))
	if n == 0 || n > 2*maxPart {
		return nil, invalid("layerPartBlob", "Member must have length between 1 and 20971520")
	}
	if request.PartFirstByte != have || request.PartLastByte != have+n-1 {
		f := exception("InvalidLayerPartException", "The layer part upload is not valid: byte range %d-%d is not the next part", request.PartFirstByte, request.PartLastByte)
		f.fields = map[string]any{
			"registryId": s.options.Account, "repositoryName": request.RepositoryName,
			"uploadId": request.UploadID, "lastValidByteReceived": have - 1,
		}
		return nil, f
	}
	p.short = p.short || p.lastShort
	p.lastShort = n < minPart
	p.content.Write(request.LayerPartBlob)
	return &uploadLayerPartOut{in: s.head(request.RepositoryName), LastByteReceived: have + n - 1, UploadID: request.UploadID}, nil
}

func (s *Server) completeLayerUpload(_ principal, request *completeLayerUploadIn) (*completeLayerUploadOut, *failure) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, f := s.upload(request.UploadID, request.RepositoryName)
	if f != nil {
		return nil, f
	}
	digest := oci.Digest(p.content.Bytes())
	r := s.repository(request.RepositoryName)
	switch {
	case p.content.Len() == 0:
		return nil, exception("EmptyUploadException", "The upload with id '%s' has no parts", request.UploadID)
	case p.short:
		return nil, exception("LayerPartTooSmallException", "Layer parts other than the last must be at least 5 MiB")
	case !slices.Contains(request.LayerDigests, digest):
		return nil, exception("InvalidLayerException", "The layer digests '%s' do not match the digest '%s' of the upload", strings.Join(request.LayerDigests, ", "), digest)
	case r.Layers[digest] != nil:
		delete(s.parts, request.UploadID)
		return nil, exception("LayerAlreadyExistsException", "Layer with digest '%s' already exists in the repository with name '%s'", digest, r.Name)
	}
	if err := s.backend.putBlob(r.Name, digest, p.content.Bytes()); err != nil {
		return nil, internal(err)
	}
	r.Layers[digest] = &layer{Bytes: int64(p.content.Len()), Uploaded: s.now()}
	delete(s.parts, request.UploadID)
	s.wrote("layers")
	return &completeLayerUploadOut{in: s.head(r.Name), LayerDigest: digest, UploadID: request.UploadID}, nil
}

func (s *Server) getDownloadURLForLayer(_ principal, request *getDownloadURLForLayerIn) (*getDownloadURLForLayerOut, *failure) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.repository(request.RepositoryName).Layers[request.LayerDigest] == nil {
		return nil, exception("LayersNotFoundException", "The layer with digest '%s' does not exist in the repository with name '%s' in the registry with id '%s'",
			request.LayerDigest, request.RepositoryName, s.options.Account)
	}
	return &getDownloadURLForLayerOut{DownloadURL: s.layerURL(request.RepositoryName, request.LayerDigest), LayerDigest: request.LayerDigest}, nil
}

// layerURL makes a signed download URL.
func (s *Server) layerURL(repository, digest string) string {
	expires := strconv.FormatInt(s.now().Add(linkLife).Unix(), 10)
	q := url.Values{"Expires": {expires}, "Signature": {s.linkSignature(repository, digest, expires)}}
	return s.URL + layersPath + repository + "/" + digest + "?" + q.Encode()
}

func (s *Server) linkSignature(repository, digest, expires string) string {
	return hex.EncodeToString(s.sign("link", repository, digest, expires))
}

// serveLayer answers a signed download URL.
func (s *Server) serveLayer(w http.ResponseWriter, r *http.Request) {
	name := strings.TrimPrefix(r.URL.Path, layersPath)
	i := strings.LastIndex(name, "/")
	expires := r.URL.Query().Get("Expires")
	until, err := strconv.ParseInt(expires, 10, 64)
	if i < 0 || err != nil || r.URL.Query().Get("Signature") != s.linkSignature(name[:i], name[i+1:], expires) || s.now().Unix() > until {
		w.WriteHeader(http.StatusForbidden)
		_, _ = fmt.Fprint(w, "<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>")
		return
	}
	through := r.Clone(r.Context())
	through.URL = &url.URL{Path: "/v2/" + name[:i] + "/blobs/" + name[i+1:]}
	through.Header.Del("Authorization")
	s.backend.ServeHTTP(w, through)
}
