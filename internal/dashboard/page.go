package dashboard

import (
	"bytes"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"strings"
	"sync"
	"time"

	"gitlab.sikt.no/platon/ecrferry/internal/store"
)

//go:embed pages/*.html
var pageFiles embed.FS

//go:embed assets/*
var assetFiles embed.FS

// pages holds each page with the layout around it, by name.
var pages = sync.OnceValue(func() map[string]*template.Template {
	base := template.Must(template.New("layout.html").Funcs(words).ParseFS(pageFiles, "pages/layout.html", "pages/parts.html"))
	all := map[string]*template.Template{}
	files, _ := fs.Glob(pageFiles, "pages/*.html")
	for _, f := range files {
		name := strings.TrimSuffix(strings.TrimPrefix(f, "pages/"), ".html")
		if name != "layout" && name != "parts" {
			all[name] = template.Must(template.Must(base.Clone()).ParseFS(pageFiles, f))
		}
	}
	return all
})

// alive makes the page follow what happens to a project, or to all with 0. It is
// called before the page reads anything, so that nothing falls in between.
func (s *server) alive(ctx context.Context, f *frame, project int64) (err error) {
	f.Live = project
	f.Pulse, err = s.Store.Pulse(ctx, project)
	return err
}

// frame is what every page is made of.
type frame struct {
	Page  string // the template
	Title string
	Here  string // the entry of the navigation
	// Live is the project whose happenings concern the page, 0 for all; -1: none.
	// Pulse is the store's when the page was made.
	Live   int64
	Pulse  string
	Person person
	Token  string
	Jobs   bool
	// Said is what the last act came to, when the page follows one.
	Said string
	// Refused is why an act was not done.
	Refused string
	Now     time.Time
	Status  int
	Body    any
}

var (
	errNotHere = errors.New("there is no such page")
	// errWrongUse is what the reader did, not we.
	errWrongUse = errors.New("this does not work")
)

// patience bounds how long a page may take.
const patience = 20 * time.Second

// page turns a function that fills a frame into a handler.
func (s *server) page(fill func(*http.Request, *frame) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), patience)
		defer cancel()
		r = r.WithContext(ctx)
		f := s.frame(w, r)
		f.Said = said[r.FormValue("did")]
		s.show(w, r, f, fill(r, f))
	})
}

func (s *server) frame(w http.ResponseWriter, r *http.Request) *frame {
	return &frame{Person: personOf(r), Token: token(w, r), Jobs: s.Jobs != nil, Now: time.Now(), Status: http.StatusOK, Live: -1}
}

// show writes a filled frame, or what went wrong with it.
func (s *server) show(w http.ResponseWriter, r *http.Request, f *frame, err error) {
	switch {
	case err == nil:
		s.write(w, r, f)
	case errors.Is(err, errNotHere), errors.Is(err, store.ErrNotFound):
		s.refuse(w, r, http.StatusNotFound, "Nothing here", "There is no such page or project. Projects that have moved are found by searching for their name.")
	case errors.Is(err, errWrongUse):
		s.refuse(w, r, http.StatusBadRequest, "That does not work", err.Error())
	case r.Context().Err() != nil && !errors.Is(r.Context().Err(), context.DeadlineExceeded):
		// Nobody listens any more.
	default:
		s.Log.ErrorContext(r.Context(), "page failed", "path", r.URL.Path, "error", err.Error())
		s.refuse(w, r, http.StatusServiceUnavailable, "Not now", "The database did not answer as it should; the worker's log says more. The page may work again in a moment.")
	}
}

// refuse shows a page that says only what is wrong.
func (s *server) refuse(w http.ResponseWriter, r *http.Request, status int, title, text string) {
	f := s.frame(w, r)
	f.Page, f.Title, f.Status, f.Body = "problem", title, status, text
	s.write(w, r, f)
}

// write renders a frame as a whole before anything is sent, so that a fault in
// a template is an error and no half page.
func (s *server) write(w http.ResponseWriter, r *http.Request, f *frame) {
	var b bytes.Buffer
	if err := pages()[f.Page].ExecuteTemplate(&b, "layout.html", f); err != nil {
		s.Log.ErrorContext(r.Context(), "template failed", "page", f.Page, "error", err.Error())
		http.Error(w, "this page has a fault; the worker's log says which", http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "private, no-cache")
	h.Set("Vary", "Cookie, Authorization")
	if f.Status == http.StatusOK {
		sum := sha256.Sum256(b.Bytes())
		tag := `"` + hex.EncodeToString(sum[:12]) + `"`
		h.Set("ETag", tag)
		if r.Method == http.MethodGet && r.Header.Get("If-None-Match") == tag {
			w.WriteHeader(http.StatusNotModified)
			return
		}
	}
	w.WriteHeader(f.Status)
	w.Write(b.Bytes())
}

// versions are short digests of the assets, so that they can be cached for ever.
var versions = sync.OnceValue(func() map[string]string {
	all := map[string]string{}
	files, _ := fs.Glob(assetFiles, "assets/*")
	for _, f := range files {
		raw, _ := assetFiles.ReadFile(f)
		sum := sha256.Sum256(raw)
		all[strings.TrimPrefix(f, "assets/")] = hex.EncodeToString(sum[:6])
	}
	return all
})

// asset returns the address of an asset.
func asset(name string) (string, error) {
	v, ok := versions()[name]
	if !ok {
		return "", fmt.Errorf("no asset %s", name)
	}
	return "/assets/" + name + "?v=" + v, nil
}

func assetHandler() http.Handler {
	files := http.FileServerFS(assetFiles)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if v := versions()[strings.TrimPrefix(r.URL.Path, "/assets/")]; v == "" {
			http.NotFound(w, r)
			return
		} else if r.URL.Query().Get("v") == v {
			w.Header().Set("Cache-Control", "private, max-age=31536000, immutable")
		} else {
			w.Header().Set("Cache-Control", "no-cache")
		}
		files.ServeHTTP(w, r)
	})
}
