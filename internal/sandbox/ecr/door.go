package ecr

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
)

// knock is a request at the registry door, taken apart.
type knock struct {
	principal  principal
	repository string
	kind       string // manifests, blobs, uploads, tags, referrers
	reference  string // tag, digest or upload
}

var doorPath = regexp.MustCompile(`^/v2/(.+?)/(?:(manifests|blobs|referrers)/([^/]+)|blobs/(uploads)/([^/]*)|(tags)/list)$`)

// door names the API operation that stands behind each request of the
// registry protocol: its quota and permission are asked.
var door = map[string]string{
	"HEAD manifests": "BatchGetImage", "GET manifests": "BatchGetImage", "PUT manifests": "PutImage",
	"HEAD blobs": "BatchCheckLayerAvailability", "GET blobs": "GetDownloadUrlForLayer",
	"POST uploads": "InitiateLayerUpload", "GET uploads": "UploadLayerPart", "PATCH uploads": "UploadLayerPart",
	"PUT uploads": "CompleteLayerUpload", "DELETE uploads": "UploadLayerPart",
	"GET tags": "ListImages", "GET referrers": "BatchGetImage",
}

// serveDoor answers /v2/: login, permission and quota, then what is asked.
func (s *Server) serveDoor(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Docker-Distribution-Api-Version", "registry/2.0")
	p, known, f := s.login(r)
	if f != nil {
		f.serveDoor(w)
		return
	}
	if !known {
		w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Basic realm="https://%s/",service="ecr.amazonaws.com"`, s.Registry))
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = fmt.Fprintln(w, "Not Authorized")
		return
	}
	switch r.URL.Path {
	case "/v2", "/v2/":
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		_, _ = fmt.Fprint(w, "{}")
		return
	case "/v2/_catalog":
		if f = s.admit(p, "DescribeRepositories", ""); f == nil {
			f = s.catalog(w, r)
		}
		s.closeDoor(w, f)
		return
	}
	m := doorPath.FindStringSubmatch(r.URL.Path)
	if m == nil {
		http.NotFound(w, r)
		return
	}
	k := knock{principal: p, repository: m[1], kind: m[2] + m[4] + m[6], reference: m[3] + m[5]}
	operation, ok := door[r.Method+" "+k.kind]
	if !ok {
		s.closeDoor(w, &failure{code: "UNSUPPORTED", door: http.StatusMethodNotAllowed, message: "The operation is unsupported."})
		return
	}
	if f = s.admit(p, operation, k.repository); f == nil {
		if f = s.checkHead(operation, in{RepositoryName: k.repository}); f == nil {
			f = s.open(w, r, k)
		}
	}
	s.closeDoor(w, f)
}

func (s *Server) closeDoor(w http.ResponseWriter, f *failure) {
	if f != nil {
		s.options.Log.Debug("refused", "code", f.code, "message", f.message)
		f.serveDoor(w)
	}
}

// open does what a request that was let in asks for.
func (s *Server) open(w http.ResponseWriter, r *http.Request, k knock) *failure {
	switch r.Method + " " + k.kind {
	case "HEAD manifests", "GET manifests":
		return s.getManifest(w, r, k)
	case "PUT manifests":
		return s.putManifest(w, r, k)
	case "HEAD blobs", "GET blobs":
		return s.getBlob(w, r, k)
	case "POST uploads":
		return s.startUpload(w, r, k)
	case "PATCH uploads":
		return s.patchUpload(w, r, k)
	case "PUT uploads":
		return s.finishUpload(w, r, k)
	case "GET tags":
		return s.tagList(w, r, k)
	case "GET referrers":
		return s.referrerList(w, r, k)
	}
	// What is left: the state of an upload, or its end by the client.
	if r.Method == http.MethodDelete {
		s.mu.Lock()
		delete(s.chunked, k.reference)
		s.mu.Unlock()
	}
	s.backend.ServeHTTP(w, r)
	return nil
}

// listing cuts a list for the door: 100 entries when n is not given, at most
// 1000, and an opaque last.
func (s *Server) listing(w http.ResponseWriter, r *http.Request, all []string) ([]string, *failure) {
	q := r.URL.Query()
	p := page{NextToken: q.Get("last")}
	if q.Has("n") {
		n, err := strconv.Atoi(q.Get("n"))
		if err != nil {
			return nil, invalid("maxResults", "Member must be a number")
		}
		p.MaxResults = &n
	}
	if _, err := base64.RawURLEncoding.DecodeString(p.NextToken); err != nil {
		return nil, invalid("nextToken", "Invalid pagination token")
	}
	part, next, f := cut(all, p, 1000)
	if f != nil {
		return nil, f
	}
	if next != "" {
		link := url.Values{"last": {next}}
		if q.Has("n") {
			link.Set("n", q.Get("n"))
		}
		w.Header().Set("Link", fmt.Sprintf(`<%s?%s>; rel="next"`, r.URL.Path, link.Encode()))
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8") // sic
	return slices.Concat([]string{}, part), nil
}

func (s *Server) tagList(w http.ResponseWriter, r *http.Request, k knock) *failure {
	s.mu.Lock()
	tags := slices.Sorted(maps.Keys(s.repository(k.repository).Tags))
	s.mu.Unlock()
	tags, f := s.listing(w, r, tags)
	if f == nil {
		_ = json.NewEncoder(w).Encode(map[string]any{"name": k.repository, "tags": tags})
	}
	return f
}

func (s *Server) catalog(w http.ResponseWriter, r *http.Request) *failure {
	s.mu.Lock()
	names := slices.Sorted(maps.Keys(s.kept.Repositories))
	s.mu.Unlock()
	names, f := s.listing(w, r, names)
	if f == nil {
		_ = json.NewEncoder(w).Encode(map[string]any{"repositories": names})
	}
	return f
}
