package sandbox

import (
	"encoding/json"
	"net"
	"net/http"
	"time"
)

// Control is the sandbox's own door, beside those of the systems it stands for:
//
//	GET  /writes              what changed from outside so far, by system and kind
//	POST /clock?advance=25h   moves the sandbox's clock forward
//	POST /sweep               runs ECR's one-day clean-up now
//	POST /expire              ends all ECR tokens
//	POST /play?project=P&job=J plays a manual job, as one of the project's people
//
// It listens on address and serves until the world is closed.
func (w *World) Control(address string) (url string, err error) {
	l, err := net.Listen("tcp", free(address))
	if err != nil {
		return "", err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /writes", func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Type", "application/json")
		json.NewEncoder(rw).Encode(w.Writes())
	})
	act := func(pattern string, f func(r *http.Request) error) {
		mux.HandleFunc("POST "+pattern, func(rw http.ResponseWriter, r *http.Request) {
			if err := f(r); err != nil {
				http.Error(rw, err.Error(), http.StatusBadRequest)
				return
			}
			rw.WriteHeader(http.StatusNoContent)
		})
	}
	act("/clock", func(r *http.Request) error {
		d, err := time.ParseDuration(r.FormValue("advance"))
		if err == nil {
			w.Clock.Advance(d)
		}
		return err
	})
	act("/sweep", func(*http.Request) error { w.ECR.Sweep(); return nil })
	act("/expire", func(*http.Request) error { w.ECR.Expire(); return nil })
	act("/play", func(r *http.Request) error { return w.GitLab.Play(r.FormValue("project"), r.FormValue("job")) })
	srv := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	go srv.Serve(l)
	w.closes = append(w.closes, srv.Close)
	return "http://" + l.Addr().String(), nil
}
