package webhook_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"gitlab.sikt.no/platon/ecrferry/internal/fault"
	"gitlab.sikt.no/platon/ecrferry/internal/webhook"
)

func TestPost(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		status int
		class  fault.Class
		hint   time.Duration
	}{
		{"taken", 200, "", 0},
		{"gone", 404, fault.Permanent, 0},
		{"elsewhere", 302, fault.Permanent, 0},
		{"too many", 429, fault.Transient, 7 * time.Second},
		{"broken", 503, fault.Transient, 7 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			asked := 0
			chat := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				asked++
				w.Header().Set("Retry-After", "7")
				w.Header().Set("Location", "/other")
				http.Error(w, "said "+strings.Repeat("x", 2000), tt.status)
			}))
			defer chat.Close()
			c, err := webhook.New(chat.URL+"/hunter2", nil)
			if err != nil {
				t.Fatal(err)
			}
			err = c.Post(t.Context(), map[string]string{"text": "hello"})
			if tt.class == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if fault.ClassOf(err) != tt.class || fault.RetryAfter(err) != tt.hint || asked != 1 {
				t.Errorf("%v %v after %d requests: %v", fault.ClassOf(err), fault.RetryAfter(err), asked, err)
			}
			if strings.Contains(err.Error(), "hunter2") || len(err.Error()) > 800 {
				t.Errorf("the error tells too much: %v", err)
			}
		})
	}
	c, err := webhook.New("http://127.0.0.1:1/hunter2", nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Post(t.Context(), nil); fault.ClassOf(err) != fault.Transient || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("nobody listens: %v", err)
	}
	if _, err := webhook.New("hooks.example.org", nil); err == nil {
		t.Error("an address without a scheme was taken")
	}
}
