package main

import (
	"os"
	"path/filepath"
	"testing"
)

// A registry's login comes before those of single repositories, in whichever order
// the file has them.
func TestLoginOfAWholeRegistry(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "auth.json")
	const auths = `{"auths": {
		"old.example/group/app": {"auth": "YXBwOng="},
		"https://old.example/v1/": {"auth": "YWxsOng="},
		"old.example/group": {"auth": "Z3JvdXA6eA=="},
		"pod.example/group": {"auth": "Z3JvdXA6eA=="}}}`
	if err := os.WriteFile(file, []byte(auths), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		l := newLogins(func(key string) string {
			if key == "REGISTRY_AUTH_FILE" {
				return file
			}
			return ""
		})
		for host, want := range map[string]string{"old.example": "all", "pod.example": "group", "else.example": ""} {
			if user, _, err := l.of(t.Context(), host); err != nil || user != want {
				t.Fatalf("%s: user %q, %v; want %q", host, user, err, want)
			}
		}
	}
}
