package main

import (
	"net"
	"strings"
	"testing"
)

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

// TestAllProblemsAtOnce names every missing or wrong setting in one error.
func TestAllProblemsAtOnce(t *testing.T) {
	t.Parallel()
	env := map[string]string{"ECRFERRY_WORKERS": "many", "ECRFERRY_CONFIGURE": "console", "ECRFERRY_POLL": "soon"}
	err := run(t.Context(), nil, func(k string) string { return env[k] }, t.Output(), t.Output())
	if err == nil {
		t.Fatal("a worker without settings started")
	}
	for _, want := range []string{"ECRFERRY_WORKERS", "ECRFERRY_POLL", "ECRFERRY_GITLAB_TOKEN", "ECRFERRY_OLD_REGISTRY_USER", "ECRFERRY_CONSOLE_URL", "DATABASE_URL"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not name %s:\n%v", want, err)
		}
	}
}

func TestHelp(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	if err := run(t.Context(), []string{"--help"}, func(string) string { return "" }, &out, &out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"ECRFERRY_GITLAB_TOKEN", "worker migrate", "psql"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("--help does not mention %s", want)
		}
	}
}
