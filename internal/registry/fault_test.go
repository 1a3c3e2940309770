package registry_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gitlab.sikt.no/platon/ecrferry/internal/fault"
	"gitlab.sikt.no/platon/ecrferry/internal/pace"
	"gitlab.sikt.no/platon/ecrferry/internal/registry"
	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/oci"
)

const ecrName = "123456789012.dkr.ecr.eu-north-1.amazonaws.com"

// serve starts a registry of one handler, for answers that no real one can be
// made to give.
func serve(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

func refuse(w http.ResponseWriter, status int, code, message string) {
	w.WriteHeader(status)
	fmt.Fprintf(w, `{"errors":[{"code":%q,"message":%q}]}`, code, message)
}

func content(n int) (body []byte, d registry.Descriptor) {
	body = make([]byte, n)
	r := rand.NewChaCha8([32]byte{1})
	_, _ = r.Read(body)
	return body, registry.Descriptor{Digest: oci.Digest(body), Size: int64(n)}
}

func TestAnswersBecomeReasons(t *testing.T) {
	t.Parallel()
	tests := []struct {
		label, name   string
		status        int
		code, message string
		class         fault.Class
		reason        string
		kind          error
	}{
		{"immutable tag", ecrName, 400, "TAG_INVALID", "The image tag '1' already exists in the 'g/p' repository and cannot be overwritten because the tag is immutable.", fault.Permanent, "tag-immutable", registry.ErrTagExists},
		{"immutable repository", ecrName, 400, "TAG_INVALID", "The image tag '1' already exists in the 'g/p' repository and cannot be overwritten because the repository is immutable.", fault.Permanent, "tag-immutable", registry.ErrTagExists},
		{"denied", ecrName, 403, "DENIED", "User: arn:aws:sts::1:assumed-role/x is not authorized to perform: ecr:PutImage on resource: arn:aws:ecr:y because no identity-based policy allows the ecr:PutImage action", fault.Attention, "registry-denied", nil},
		{"throttled", ecrName, 429, "TOOMANYREQUESTS", "Rate exceeded", fault.Transient, "ecr-throttled", pace.ErrThrottled},
		{"throttled, no JSON", "old.no", 429, "", "", fault.Transient, "old-registry-throttled", pace.ErrThrottled},
		{"unavailable", "old.no", 503, "UNAVAILABLE", "down", fault.Transient, "old-registry-unavailable", nil},
		{"disk full", "old.no", 507, "", "", fault.Transient, "old-registry-unavailable", nil},
		{"missing blob", ecrName, 404, "MANIFEST_BLOB_UNKNOWN", "Layers with digests '[sha256:a]' required for pushing image do not exist", fault.Transient, "blob-missing", registry.ErrBlobMissing},
		{"missing blob, in words only", ecrName, 400, "UNKNOWN", "Layers with digests '[sha256:a]' required for pushing image into repository with name 'g/p' in the registry with id '1' do not exist", fault.Transient, "blob-missing", registry.ErrBlobMissing},
		{"missing child, in words only", ecrName, 404, "UNKNOWN", "Images with digests '[sha256:a]' required for pushing image into repository with name 'g/p' in the registry with id '1' do not exist", fault.Transient, "blob-missing", registry.ErrBlobMissing},
		{"missing blob, the API's name as code", ecrName, 400, "LayersNotFoundException", "", fault.Transient, "blob-missing", registry.ErrBlobMissing},
		{"the image is there", ecrName, 400, "UNKNOWN", "Image with digest 'sha256:a' and tag '1' already exists in the repository with name 'g/p' in registry with id '1'", fault.Permanent, "tag-immutable", registry.ErrTagExists},
		{"the tag is there, as conflict", ecrName, 409, "CONFLICT", "", fault.Permanent, "tag-immutable", registry.ErrTagExists},
		{"throttled, the API's name", ecrName, 400, "ThrottlingException", "Rate exceeded", fault.Transient, "ecr-throttled", pace.ErrThrottled},
		{"throttled as unavailable", ecrName, 503, "UNKNOWN", "toomanyrequests: Rate exceeded", fault.Transient, "ecr-throttled", pace.ErrThrottled},
		{"missing repository", ecrName, 404, "NAME_UNKNOWN", "The repository with name 'g/p' does not exist in the registry with id '1'", fault.Attention, "ecr-repository-missing", nil},
		{"too many layers", ecrName, 405, "UNSUPPORTED", "Invalid parameter at 'ImageManifest' failed to satisfy constraint: 'Limit on number of layers per image exceeded'", fault.Permanent, "manifest-refused", nil},
		{"nobody knows", ecrName, 418, "TEAPOT", "", fault.Unclassified, "registry-answer-unknown", nil},
	}
	for _, tt := range tests {
		t.Run(tt.label, func(t *testing.T) {
			t.Parallel()
			url := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				if tt.code == "" {
					w.WriteHeader(tt.status)
					return
				}
				refuse(w, tt.status, tt.code, tt.message)
			})
			limits := pace.OldRegistry()
			if tt.name == ecrName {
				limits = pace.ECR()
			}
			limits.Patience = time.Nanosecond
			c := client(t, registry.Options{Name: tt.name, URL: url, Limits: pace.New(limits)})
			image := oci.Build(oci.Spec{})
			err := c.PutManifest(t.Context(), "g/p", "1", registry.ParseManifest(image.MediaType, image.Manifest))
			if fault.ClassOf(err) != tt.class || fault.ReasonOf(err) != tt.reason {
				t.Errorf("%v: class %s, reason %s", err, fault.ClassOf(err), fault.ReasonOf(err))
			}
			if tt.kind != nil && !errors.Is(err, tt.kind) {
				t.Errorf("%v is not %v", err, tt.kind)
			}
			e, ok := errors.AsType[*registry.StatusError](err)
			if !ok || e.Status != tt.status || e.Code != tt.code {
				t.Errorf("status error: %+v", e)
			}
		})
	}
}

func TestUnreachable(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(http.NotFoundHandler())
	s.Close()
	c := client(t, registry.Options{Name: "old.no", URL: s.URL, Tries: 2})
	_, err := c.Tags(t.Context(), "g/p")
	if fault.ClassOf(err) != fault.Transient || fault.ReasonOf(err) != "old-registry-unavailable" {
		t.Errorf("%v (%s)", err, fault.ReasonOf(err))
	}
}

func TestBlipsAreRepeated(t *testing.T) {
	t.Parallel()
	var n atomic.Int32
	url := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		switch n.Add(1) {
		case 1:
			w.WriteHeader(503)
		case 2:
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(429)
		default:
			fmt.Fprint(w, `{"tags":["1"]}`)
		}
	})
	c := client(t, registry.Options{Name: "old.no", URL: url})
	start := time.Now()
	tags, err := c.Tags(t.Context(), "g/p")
	if err != nil || len(tags) != 1 {
		t.Errorf("%v, %v", tags, err)
	}
	if d := time.Since(start); d < time.Second {
		t.Errorf("Retry-After of 1 s was not honoured: %v", d)
	}
}

func TestLongRetryAfterIsTheCallers(t *testing.T) {
	t.Parallel()
	var n atomic.Int32
	url := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		n.Add(1)
		w.Header().Set("Retry-After", "120")
		w.WriteHeader(429)
	})
	c := client(t, registry.Options{Name: "old.no", URL: url})
	_, err := c.Tags(t.Context(), "g/p")
	if fault.RetryAfter(err) != 2*time.Minute || n.Load() != 1 {
		t.Errorf("%v: retry after %v, %d requests", err, fault.RetryAfter(err), n.Load())
	}
}

// source is a door with ECR's Basic passwords: an old one is refused with 403
// and no challenge.
type source struct {
	mu       sync.Mutex
	password int
	logins   int
	refused  int
}

func (s *source) credentials(context.Context) (string, string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.logins++
	return "AWS", strconv.Itoa(s.password), nil
}

func (s *source) drop(password string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if password == strconv.Itoa(s.password) {
		s.refused++
		s.password++
	}
}

func TestExpiredTokenIsRenewedOnce(t *testing.T) {
	t.Parallel()
	s := &source{password: 1}
	var anonymous atomic.Int32
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		_, password, ok := r.BasicAuth()
		switch {
		case !ok:
			anonymous.Add(1)
			w.Header().Set("WWW-Authenticate", `Basic realm="x",service="ecr.amazonaws.com"`)
			w.WriteHeader(401)
		case password != "2":
			refuse(w, 403, "DENIED", "Your authorization token has expired. Reauthenticate and try again.")
		default:
			fmt.Fprint(w, `{"tags":["1"]}`)
		}
	})
	c := client(t, registry.Options{Name: ecrName, URL: url, Credentials: s.credentials, Refused: s.drop})
	var wait sync.WaitGroup
	for range 20 {
		wait.Go(func() {
			if _, err := c.Tags(t.Context(), "g/p"); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	if s.refused != 1 || anonymous.Load() != 0 {
		t.Errorf("%d renewals, want 1; %d anonymous requests, want 0", s.refused, anonymous.Load())
	}
}

// A stream cannot be sent twice, but whoever opens it anew has nothing to wait for.
func TestTokenExpiresBeforeAStream(t *testing.T) {
	t.Parallel()
	body, d := content(1000)
	s := &source{password: 1}
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		_, password, _ := r.BasicAuth()
		switch {
		case r.Method == http.MethodPost:
			w.Header().Set("Location", "/v2/g/p/blobs/uploads/1")
			w.WriteHeader(202)
		case password != "2":
			refuse(w, 403, "DENIED", "Your authorization token has expired. Reauthenticate and try again.")
		default:
			_, _ = io.Copy(io.Discard, r.Body)
			w.Header().Set("Docker-Content-Digest", d.Digest)
			w.WriteHeader(201)
		}
	})
	c := client(t, registry.Options{Name: ecrName, URL: url, Credentials: s.credentials, Refused: s.drop})
	err := c.PushBlob(t.Context(), "g/p", d, bytes.NewReader(body))
	if !errors.Is(err, registry.ErrStale) || fault.ClassOf(err) != fault.Transient || fault.ReasonOf(err) != "ecr-token-expired" {
		t.Errorf("%v (%s)", err, fault.ReasonOf(err))
	}
	if err := c.PushBlob(t.Context(), "g/p", d, bytes.NewReader(body)); err != nil {
		t.Errorf("with the fresh token: %v", err)
	}
}

// A fresh token that is refused as such may be young for the registry's clock,
// or unknown to one of its machines yet. One that does not allow enough is not.
func TestAFreshTokenIsRefused(t *testing.T) {
	t.Parallel()
	for why, class := range map[string]fault.Class{"invalid_token": "", "insufficient_scope": fault.Attention} {
		var refused atomic.Int32
		url := ""
		url = serve(t, func(w http.ResponseWriter, r *http.Request) {
			switch {
			case r.URL.Path == "/token":
				fmt.Fprint(w, `{"token":"fresh"}`)
			case refused.Add(1) <= 4:
				w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="%s/token",service="s",error="%s"`, url, why))
				refuse(w, 401, "UNAUTHORIZED", "authentication required")
			default:
				fmt.Fprint(w, `{"tags":["1"]}`)
			}
		})
		_, err := client(t, registry.Options{Name: "old.no", URL: url, Delay: time.Millisecond}).Tags(t.Context(), "g/p")
		if class == "" && err != nil || class != "" && fault.ClassOf(err) != class {
			t.Errorf("%s: %v (%s)", why, err, fault.ClassOf(err))
		}
	}
}

// A token server whose answer is cut is asked again.
func TestTokenAnswerIsCut(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	url := ""
	url = serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/token" && asked.Add(1) == 1:
			w.Header().Set("Content-Length", "100")
			fmt.Fprint(w, `{"tok`)
			panic(http.ErrAbortHandler)
		case r.URL.Path == "/token":
			fmt.Fprint(w, `{"token":"fresh"}`)
		case r.Header.Get("Authorization") != "Bearer fresh":
			w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="%s/token",service="s"`, url))
			refuse(w, 401, "UNAUTHORIZED", "authentication required")
		default:
			fmt.Fprint(w, `{"tags":["1"]}`)
		}
	})
	if _, err := client(t, registry.Options{Name: "old.no", URL: url, Delay: time.Millisecond}).Tags(t.Context(), "g/p"); err != nil {
		t.Errorf("%v (%s)", err, fault.ClassOf(err))
	}
}

func TestRefusedForGood(t *testing.T) {
	t.Parallel()
	var n atomic.Int32
	url := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		n.Add(1)
		refuse(w, 403, "DENIED", "Your authorization token has expired. Reauthenticate and try again.")
	})
	c := client(t, registry.Options{Name: ecrName, URL: url, Tries: 1, Credentials: func(context.Context) (string, string, error) { return "AWS", "same", nil }})
	_, err := c.Tags(t.Context(), "g/p")
	if fault.ReasonOf(err) != "registry-denied" || n.Load() != 1 {
		t.Errorf("%v (%s) after %d requests", err, fault.ReasonOf(err), n.Load())
	}
}

func TestDownloadGoesOnWhereItWasCut(t *testing.T) {
	t.Parallel()
	body, d := content(3 << 20)
	for _, ranges := range []bool{true, false} {
		var n, sent atomic.Int64
		url := serve(t, func(w http.ResponseWriter, r *http.Request) {
			from := 0
			if h := r.Header.Get("Range"); h != "" && ranges {
				from, _ = strconv.Atoi(strings.TrimSuffix(strings.TrimPrefix(h, "bytes="), "-"))
				w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, len(body)-1, len(body)))
			}
			w.Header().Set("Content-Length", strconv.Itoa(len(body)-from))
			if from > 0 {
				w.WriteHeader(206)
			}
			part := body[from:]
			if n.Add(1) <= 2 {
				part = body[from : from+1<<20]
			}
			written, _ := w.Write(part)
			sent.Add(int64(written))
			if len(part) < len(body)-from {
				panic(http.ErrAbortHandler)
			}
		})
		c := client(t, registry.Options{Name: "old.no", URL: url})
		r, err := c.Blob(t.Context(), "g/p", d)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(r)
		if err != nil || !bytes.Equal(got, body) {
			t.Errorf("ranges %v: %d bytes, %v", ranges, len(got), err)
		}
		if ranges && sent.Load() > int64(len(body))+1<<20 {
			t.Errorf("%d bytes were sent for a blob of %d", sent.Load(), len(body))
		}
		_ = r.Close()
	}
}

func TestDamagedBlobIsNeverComplete(t *testing.T) {
	t.Parallel()
	body, d := content(100_000)
	damaged := bytes.Clone(body)
	damaged[50] ^= 1
	tests := map[string][]byte{"damaged": damaged, "short": body[:99_999], "long": append(bytes.Clone(body), 'x')}
	for name, sent := range tests {
		for _, length := range []bool{true, false} {
			url := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				if length {
					w.Header().Set("Content-Length", strconv.Itoa(len(sent)))
				} else {
					w.(http.Flusher).Flush()
				}
				_, _ = w.Write(sent)
			})
			c := client(t, registry.Options{Name: "old.no", URL: url, Tries: 1})
			var got []byte
			r, err := c.Blob(t.Context(), "g/p", d)
			if err == nil {
				got, err = io.ReadAll(r)
				_ = r.Close()
			}
			if name == "long" && !length {
				// What follows the blob is not read; the blob itself is right.
				if err != nil || !bytes.Equal(got, body) {
					t.Errorf("%s: %v", name, err)
				}
				continue
			}
			if err == nil || len(got) >= len(body) {
				t.Errorf("%s (length told: %v): %d bytes were handed out, %v", name, length, len(got), err)
			}
			if name == "damaged" && !errors.Is(err, registry.ErrCorrupt) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

func TestStandstillIsCut(t *testing.T) {
	t.Parallel()
	body, d := content(100_000)
	done := make(chan struct{})
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			w.Header().Set("Location", "/upload")
			w.WriteHeader(202)
			return
		}
		if r.Method == http.MethodGet {
			w.Header().Set("Content-Length", strconv.Itoa(len(body)))
			_, _ = w.Write(body[:1000])
			w.(http.Flusher).Flush()
		}
		<-done
	})
	t.Cleanup(func() { close(done) })
	c := client(t, registry.Options{Name: "old.no", URL: url, Stall: 50 * time.Millisecond, Timeout: 200 * time.Millisecond, Tries: 1})
	start := time.Now()
	r, err := c.Blob(t.Context(), "g/p", d)
	if err == nil {
		_, err = io.ReadAll(r)
		_ = r.Close()
	}
	if fault.ClassOf(err) != fault.Transient {
		t.Errorf("reading: %v", err)
	}
	err = c.PushBlob(t.Context(), "g/p", d, bytes.NewReader(body))
	if !errors.Is(err, registry.ErrStalled) || fault.ClassOf(err) != fault.Transient {
		t.Errorf("writing: %v", err)
	}
	if took := time.Since(start); took > 30*time.Second {
		t.Errorf("took %v", took)
	}
}

func TestRedirects(t *testing.T) {
	t.Parallel()
	body, d := content(1000)
	var leaked atomic.Bool
	storage := serve(t, func(w http.ResponseWriter, r *http.Request) {
		leaked.Store(r.Header.Get("Authorization") != "")
		_, _ = w.Write(body)
	})
	login := func(context.Context) (string, string, error) { return "AWS", "secret", nil }
	front := serve(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, storage+"/blob?signature=x", http.StatusTemporaryRedirect)
	})
	c := client(t, registry.Options{Name: "old.no", URL: front, Credentials: login})
	got, err := c.Small(t.Context(), "g/p", d, 1<<20)
	if err != nil || !bytes.Equal(got, body) || leaked.Load() {
		t.Errorf("%d bytes, %v, authorization leaked: %v", len(got), err, leaked.Load())
	}

	loop := serve(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, r.URL.String(), http.StatusTemporaryRedirect)
	})
	secure := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, storage, http.StatusTemporaryRedirect)
	}))
	t.Cleanup(secure.Close)
	tests := map[string]registry.Options{
		"loop":          {Name: "old.no", URL: loop},
		"https to http": {Name: "old.no", URL: secure.URL, HTTPClient: secure.Client()},
		// Seen from a registry elsewhere, a local address is not storage.
		"to ourselves": {Name: "old.no", URL: "http://old.invalid", HTTPClient: &http.Client{Transport: elsewhere(front)}},
	}
	for name, o := range tests {
		_, err := client(t, o).Small(t.Context(), "g/p", d, 1<<20)
		if fault.ReasonOf(err) != "registry-redirect" || fault.ClassOf(err) != fault.Attention {
			t.Errorf("%s: %v (%s)", name, err, fault.ReasonOf(err))
		}
		if err != nil && strings.Contains(err.Error(), "signature") {
			t.Errorf("%s: the error tells a signed URL: %v", name, err)
		}
	}
}

// elsewhere reaches one server under every name.
func elsewhere(url string) http.RoundTripper {
	return roundTripper(func(r *http.Request) (*http.Response, error) {
		r = r.Clone(r.Context())
		r.URL.Host = strings.TrimPrefix(url, "http://")
		return http.DefaultTransport.RoundTrip(r)
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestUntrustedCertificate(t *testing.T) {
	t.Parallel()
	s := httptest.NewUnstartedServer(http.NotFoundHandler())
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	_, err := client(t, registry.Options{Name: "old.no", URL: s.URL}).Tags(t.Context(), "g/p")
	if fault.ReasonOf(err) != "registry-certificate" || fault.ClassOf(err) != fault.Attention {
		t.Errorf("%v (%s)", err, fault.ReasonOf(err))
	}
}

func TestUploadFailsWithoutChunks(t *testing.T) {
	t.Parallel()
	body, d := content(3 << 20)
	var methods sync.Map
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		methods.Store(r.Method, true)
		if r.Method == http.MethodPost {
			w.Header().Set("Location", "/v2/g/p/blobs/uploads/1")
			w.WriteHeader(202)
			return
		}
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(500)
	})
	c := client(t, registry.Options{Name: ecrName, URL: url})
	if err := c.PushBlob(t.Context(), "g/p", d, bytes.NewReader(body)); fault.ReasonOf(err) != "ecr-unavailable" {
		t.Errorf("%v (%s)", err, fault.ReasonOf(err))
	}
	if _, ok := methods.Load(http.MethodPatch); ok {
		t.Error("fell back to a chunked upload")
	}
	// What the source says wins over what the transport makes of it.
	broken := io.MultiReader(bytes.NewReader(body[:1000]), errReader{registry.ErrCorrupt})
	if err := c.PushBlob(t.Context(), "g/p", d, broken); !errors.Is(err, registry.ErrCorrupt) {
		t.Errorf("source failed: %v", err)
	}
}

type errReader struct{ err error }

func (e errReader) Read([]byte) (int, error) { return 0, e.err }

func TestLyingDigestHeader(t *testing.T) {
	t.Parallel()
	image := oci.Build(oci.Spec{})
	url := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", image.MediaType)
		w.Header().Set("Docker-Content-Digest", oci.Digest([]byte("other")))
		_, _ = w.Write(image.Manifest)
	})
	c := client(t, registry.Options{Name: "old.no", URL: url})
	if _, err := c.Manifest(t.Context(), "g/p", "1"); !errors.Is(err, registry.ErrCorrupt) {
		t.Errorf("got %v", err)
	}
}

func TestParseManifest(t *testing.T) {
	t.Parallel()
	image := oci.Build(oci.Spec{})
	tests := map[string]struct {
		contentType, body string
		want              registry.Kind
	}{
		"OCI":              {"application/vnd.oci.image.manifest.v1+json", string(image.Manifest), registry.KindImage},
		"served as text":   {"text/plain; charset=utf-8", string(image.Manifest), registry.KindImage},
		"schema 1":         {"application/vnd.docker.distribution.manifest.v1+prettyjws", `{"schemaVersion":1,"name":"x","tag":"1"}`, registry.KindSchema1},
		"schema 1 as JSON": {"application/json", `{"schemaVersion":1,"name":"x","tag":"1"}`, registry.KindSchema1},
		"nothing known":    {"application/vnd.example+json", `{}`, registry.KindUnknown},
		"not JSON":         {"application/vnd.oci.image.manifest.v1+json", `<html>`, registry.KindUnknown},
		"bad digest":       {"application/vnd.oci.image.index.v1+json", `{"schemaVersion":2,"manifests":[{"mediaType":"x/y","digest":"sha256:zz","size":1}]}`, registry.KindUnknown},
		"empty index":      {"application/vnd.oci.image.index.v1+json", `{"schemaVersion":2,"manifests":[]}`, registry.KindIndex},
	}
	for name, tt := range tests {
		if m := registry.ParseManifest(tt.contentType, []byte(tt.body)); m.Kind != tt.want {
			t.Errorf("%s: %q, want %q", name, m.Kind, tt.want)
		}
	}
}
