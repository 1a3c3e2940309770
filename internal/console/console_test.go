package console

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"gitlab.sikt.no/platon/ecrferry/internal/fault"
)

func TestUpdateConfiguration(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		status int
		class  fault.Class
		reason string
		after  time.Duration
	}{
		{"ok", 200, "", "", 0},
		{"busy", 503, fault.Transient, "console-unavailable", 7 * time.Second},
		{"denied", 403, fault.Attention, "console-denied", 0},
		{"unknown", 404, fault.Attention, "console-unknown-project", 0},
		{"refused", 409, fault.Permanent, "console-refused", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if got, want := r.Method+" "+r.URL.RequestURI(), "POST /projects/7/update?path=g%2Fp"; got != want {
					t.Errorf("request = %s, want %s", got, want)
				}
				if got := r.Header.Get("Authorization"); got != "Bearer s3cret" {
					t.Errorf("Authorization = %q", got)
				}
				if tt.after > 0 {
					w.Header().Set("Retry-After", "7")
				}
				w.WriteHeader(tt.status)
			}))
			defer srv.Close()
			c, err := New(Options{URL: srv.URL + "/projects/{{.ID}}/update?path={{urlquery .Path}}", Token: "s3cret"})
			if err != nil {
				t.Fatal(err)
			}
			err = c.UpdateConfiguration(t.Context(), 7, "g/p")
			if tt.class == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if fault.ClassOf(err) != tt.class || fault.ReasonOf(err) != tt.reason || fault.RetryAfter(err) != tt.after {
				t.Errorf("error %v: class %s reason %s after %v", err, fault.ClassOf(err), fault.ReasonOf(err), fault.RetryAfter(err))
			}
			if strings.Contains(err.Error(), "s3cret") {
				t.Errorf("the token is in the error: %v", err)
			}
		})
	}
}

func TestBadTemplate(t *testing.T) {
	t.Parallel()
	if _, err := New(Options{URL: "http://console/{{.ID"}); err == nil {
		t.Error("a broken template was accepted")
	}
	c, err := New(Options{URL: "http://console/{{.Nope}}"})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.UpdateConfiguration(t.Context(), 1, "g/p"); fault.ReasonOf(err) != "console-misconfigured" {
		t.Errorf("error = %v", err)
	}
}
