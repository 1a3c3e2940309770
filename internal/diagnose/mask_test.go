package diagnose

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestMask(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"cloning https://oauth2:glpat-abcdefghij0123456789@gitlab.sikt.no/a/b.git":     "cloning https://[MASKED]@gitlab.sikt.no/a/b.git",
		"cloning https://sometokenwithoutuser@host/a":                                  "cloning https://[MASKED]@host/a",
		"a token glpat-abcdefghij0123456789 alone":                                     "a token [MASKED] alone",
		"routable glpat-ABCdefGHIjklMNOpqrSTU.01.0w1a2b3c4":                            "routable [MASKED]",
		"job glcbt-64_abcdefghijklmnopqrst":                                            "job [MASKED]",
		"AKIAIOSFODNN7EXAMPLE and ASIAIOSFODNN7EXAMPLE":                                "[MASKED] and [MASKED]",
		"export AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY":        "export AWS_SECRET_ACCESS_KEY=[MASKED]",
		`{"SecretAccessKey": "wJalrXUtnFEMI/K7MDENG", "SessionToken":"abc/def=="}`:     `{"SecretAccessKey": "[MASKED]", "SessionToken":"[MASKED]"}`,
		"jwt eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl end":                "jwt [MASKED] end",
		"ecr eyJwYXlsb2FkIjoiYWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXoifQ==":                 "ecr [MASKED]",
		"auth QVdTOmV5SndZWGxzYjJGa0lqb2lZV0pqWkdWbVoyaHA=":                            "auth [MASKED]",
		"$ docker login -u u -p hunter2 registry.example.org":                          "$ docker login -u u -p [MASKED] registry.example.org",
		"$ docker login -phunter2 -u u":                                                "$ docker login -p[MASKED] -u u",
		"$ docker login --username u --password=hunter2 host":                          "$ docker login --username u --password=[MASKED] host",
		`$ skopeo login --password "two words" host`:                                   `$ skopeo login --password [MASKED] host`,
		"\x1b[32;1m$ docker login -u u -p hunter2\x1b[0;m":                             "\x1b[32;1m$ docker login -u u -p [MASKED]\x1b[0;m",
		"$ docker login -u u -p $CI_REGISTRY_PASSWORD host":                            "$ docker login -u u -p $CI_REGISTRY_PASSWORD host",
		`$ docker login -u u -p "${CI_REGISTRY_PASSWORD}" host`:                        `$ docker login -u u -p "${CI_REGISTRY_PASSWORD}" host`,
		"$ docker login -u AWS --password-stdin host":                                  "$ docker login -u AWS --password-stdin host",
		"$ echo hunter2 | docker login -u u --password-stdin":                          "$ echo [MASKED] | docker login -u u --password-stdin",
		"$ echo -n 'hunter2' | podman login --password-stdin":                          "$ echo -n [MASKED] | podman login --password-stdin",
		"> Authorization: Basic dXNlcjpwYXNz":                                          "> Authorization: [MASKED]",
		"curl -H 'Authorization: Bearer abc.def' https://x":                            "curl -H 'Authorization: [MASKED]' https://x",
		`curl --header "PRIVATE-TOKEN: abc" https://x`:                                 `curl --header "PRIVATE-TOKEN: [MASKED]" https://x`,
		"Authorization: AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders=h, Signature=s": "Authorization: [MASKED]",
		"DB_PASSWORD=hunter2 ./run":                                                    "DB_PASSWORD=[MASKED] ./run",
		"db-password: hunter2":                                                         "db-password: [MASKED]",
		"GET /x?private_token=abc&b=c":                                                 "GET /x?private_token=[MASKED]&b=c",
		"GET /x?X-Amz-Credential=A%2F1&X-Amz-Signature=ff00":                           "GET /x?X-Amz-Credential=[MASKED]&X-Amz-Signature=[MASKED]",
		`{"auths":{"h":{"auth":"dXNlcjpwYXNz"}}}`:                                      `{"auths":{"h":{"auth":"[MASKED]"}}}`,
		"-----BEGIN RSA PRIVATE KEY-----\nabc\n-----END RSA PRIVATE KEY-----\nnext":    "[MASKED]\nnext",
		"-----BEGIN PRIVATE KEY-----\nabc":                                             "[MASKED]",
		"  .dockerconfigjson: ewogICJhdXRocyI6IHsKICAgICJoIjogeyJhdXRoIjogIngifQ==":    "  .dockerconfigjson: [MASKED]",
		"  .dockerconfigjson: eyJhdXRocyI6eyJoIjp7ImF1dGgiOiJkWE5sY2pwd1lYTnoifX19":    "  .dockerconfigjson: [MASKED]",
		"$ curl -s -u robot:hunter2 https://x":                                         "$ curl -s -u robot:[MASKED] https://x",
		"$ curl --user 'robot:hunter2' https://x":                                      "$ curl --user 'robot:[MASKED]' https://x",
		"$ skopeo copy --dest-creds AWS:hunter2 a b":                                   "$ skopeo copy --dest-creds AWS:[MASKED] a b",
		"$ skopeo copy --dest-creds AWS:$TOKEN a b":                                    "$ skopeo copy --dest-creds AWS:$TOKEN a b",
		"https://gitlab-ci-token:glcbt-64_abcdefghijklmnop@gitlab.sikt.no/a/b.git":     "https://[MASKED]@gitlab.sikt.no/a/b.git",
		"vault hvs.CAESIJlU02LQZqN0a1b2c3d4e5f6":                                       "vault [MASKED]",

		// What must stay readable.
		"Your authorization token has expired. Reauthenticate and try again.": "Your authorization token has expired. Reauthenticate and try again.",
		"no basic auth credentials":                                               "no basic auth credentials",
		"toomanyrequests: Rate exceeded":                                          "toomanyrequests: Rate exceeded",
		"https://gitlab.sikt.no/a/b/-/jobs/1":                                     "https://gitlab.sikt.no/a/b/-/jobs/1",
		"user@example.org wrote https://example.org/a@b":                          "user@example.org wrote https://example.org/a@b",
		"sha256:0f5c1a7d6b0a5d1b0b5a6f9f7b4ce3e9f1f6f7f3a6e1d2c3b4a5968778695a4b": "sha256:0f5c1a7d6b0a5d1b0b5a6f9f7b4ce3e9f1f6f7f3a6e1d2c3b4a5968778695a4b",
	} {
		given := []byte(in)
		if got := string(Mask(given)); got != want {
			t.Errorf("Mask(%q)\n = %q,\nwant %q", in, got, want)
		}
		if string(given) != in {
			t.Errorf("the argument was changed to %q", given)
		}
	}
}

func TestHalfASecretInALongLine(t *testing.T) {
	t.Parallel()
	jwt := "eyJ" + strings.Repeat("hbGciOiJSUzI1NiJ9", 1000)
	d := Diagnose(Failure{FailureReason: "script_failure", Log: []byte("error: bad token " + jwt + " in request\n")})
	if strings.Contains(d.Evidence, "OiJSUz") || !strings.Contains(d.Evidence, masked) {
		t.Errorf("evidence %q", d.Evidence)
	}
}

func FuzzMask(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.log")
	for _, name := range files {
		log, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(log)
	}
	f.Add([]byte("$ docker login -u u -p hunter2\nAuthorization: Basic x"))
	f.Fuzz(func(t *testing.T, log []byte) {
		once := Mask(log)
		if twice := Mask(once); !bytes.Equal(once, twice) {
			t.Errorf("masking again changes\n%q to\n%q", once, twice)
		}
		// A secret stays one whatever stands around it.
		const token = "glpat-abcdefghij0123456789"
		around := append(append(bytes.Clone(log), "\n"+token+"\n"...), log...)
		if bytes.Contains(Mask(around), []byte(token)) {
			t.Errorf("the token survives in %q", around)
		}
	})
}
