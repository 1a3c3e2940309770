package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// job is what the floor does: it knows everything beforehand.
type job struct {
	Source, Target, Repository string
	User, Password             string
	TargetUser, TargetPassword string
	Reads                      []string // repository:tag or repository@digest
	Blobs                      []jobBlob
	Manifests                  []jobManifest // children before indexes
}

type jobBlob struct{ Repository, Digest string }

type jobManifest struct {
	Reference, MediaType string
	Body                 []byte
}

// streams of the floor.
const streams = 64

// floor makes the requests of a job and no others, without looking and without
// hashing: no copier can be much faster. It leaves out the few questions to
// ECR's API, which need signatures.
func floor(ctx context.Context, file string) error {
	raw, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	f := &flooring{tokens: map[string]string{}}
	if err := json.Unmarshal(raw, &f.job); err != nil {
		return err
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost, transport.MaxIdleConns = streams, 2*streams
	transport.DisableCompression = true
	transport.WriteBufferSize, transport.ReadBufferSize = 32<<10, 32<<10
	f.client = &http.Client{Transport: transport, Timeout: 10 * time.Minute}
	if err := side(ctx, f.Reads, f.read); err != nil {
		return err
	}
	if err := side(ctx, f.Blobs, f.blob); err != nil {
		return err
	}
	// Indexes wait for all else; that is one more wave at most two levels deep.
	index := func(m jobManifest) bool {
		return strings.Contains(m.MediaType, "index") || strings.Contains(m.MediaType, "list")
	}
	for _, wave := range []bool{false, true} {
		part := slices.DeleteFunc(slices.Clone(f.Manifests), func(m jobManifest) bool { return index(m) != wave })
		if err := side(ctx, part, f.manifest); err != nil {
			return err
		}
	}
	return nil
}

type flooring struct {
	job
	client *http.Client
	mu     sync.Mutex
	tokens map[string]string
}

func side[T any](ctx context.Context, list []T, do func(context.Context, T) error) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(streams)
	for _, v := range list {
		g.Go(func() error { return do(ctx, v) })
	}
	return g.Wait()
}

// token asks for one a repository.
func (f *flooring) token(ctx context.Context, repository string) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if t := f.tokens[repository]; t != "" {
		return t, nil
	}
	u := "https://" + f.Source + "/auth/token?" + url.Values{"service": {"registry.uninett.no"}, "scope": {"repository:" + repository + ":pull"}}.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u, nil)
	if err != nil {
		return "", err
	}
	req.SetBasicAuth(f.User, f.Password)
	resp, err := f.client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	var answer struct {
		Token string `json:"token"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		return "", err
	}
	f.tokens[repository] = answer.Token
	return answer.Token, nil
}

func (f *flooring) get(ctx context.Context, repository, path string) (*http.Response, error) {
	token, err := f.token(ctx, repository)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+f.Source+"/v2/"+repository+path, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Accept", "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json")
	return f.answer(req, http.StatusOK)
}

func (f *flooring) answer(req *http.Request, want int) (*http.Response, error) {
	resp, err := f.client.Do(req)
	if err == nil && resp.StatusCode != want {
		resp.Body.Close()
		return nil, fmt.Errorf("%s %s: %s", req.Method, req.URL.Path, resp.Status)
	}
	return resp, err
}

func (f *flooring) read(ctx context.Context, reference string) error {
	repository, rest, ok := strings.Cut(reference, "@")
	if !ok {
		repository, rest, _ = strings.Cut(reference, ":")
	}
	resp, err := f.get(ctx, repository, "/manifests/"+rest)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}

func (f *flooring) blob(ctx context.Context, b jobBlob) error {
	resp, err := f.get(ctx, b.Repository, "/blobs/"+b.Digest)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	start, err := f.send(ctx, http.MethodPost, "https://"+f.Target+"/v2/"+f.Repository+"/blobs/uploads/", "", nil, 0, http.StatusAccepted)
	if err != nil {
		return err
	}
	to, err := start.Location()
	if err != nil {
		return err
	}
	q := to.Query()
	q.Set("digest", b.Digest)
	to.RawQuery = q.Encode()
	_, err = f.send(ctx, http.MethodPut, to.String(), "application/octet-stream", resp.Body, resp.ContentLength, http.StatusCreated)
	return err
}

func (f *flooring) manifest(ctx context.Context, m jobManifest) error {
	_, err := f.send(ctx, http.MethodPut, "https://"+f.Target+"/v2/"+f.Repository+"/manifests/"+m.Reference, m.MediaType, bytes.NewReader(m.Body), int64(len(m.Body)), http.StatusCreated)
	return err
}

func (f *flooring) send(ctx context.Context, method, to, contentType string, body io.Reader, length int64, want int) (*http.Response, error) {
	if length == 0 {
		body = nil
	}
	req, err := http.NewRequestWithContext(ctx, method, to, body)
	if err != nil {
		return nil, err
	}
	req.ContentLength = length
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	req.SetBasicAuth(f.TargetUser, f.TargetPassword)
	resp, err := f.answer(req, want)
	if err != nil {
		return nil, err
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp, resp.Body.Close()
}
