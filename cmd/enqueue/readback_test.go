package main

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/oci"
	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/skopeotest"
)

// client is a program that knows nothing of us, and how it prints a manifest as
// it stands and checks all blobs of an image.
type client struct {
	name            string
	manifest, check func(image string) []string
}

// TestReadBack lets other programs read what enqueue copy has written: those
// that are installed, or that make bench-copy has built.
func TestReadBack(t *testing.T) {
	p := newPort(t)
	user, password := p.aws.KubeletToken()
	for k, v := range p.env {
		t.Setenv(k, v)
	}
	amd := oci.Build(oci.Spec{Layers: []oci.Layer{{"base": "shared"}, {"n": "amd64"}}})
	arm := oci.Build(oci.Spec{Platform: "linux/arm64", Layers: []oci.Layer{{"base": "shared"}, {"n": "arm64"}}})
	images := map[string]oci.Image{
		"multi":  p.push("multi", oci.Index(amd, arm, oci.Attestation(amd))),
		"docker": p.push("docker", oci.Build(oci.Spec{Docker: true, Layers: []oci.Layer{{"n": "docker"}}})),
	}
	var lines bytes.Buffer
	for tag := range images {
		fmt.Fprintf(&lines, "%s/group/app:%s\t%s/group/app:%s\n", p.oldHost(), tag, p.ecrHost(), tag)
	}
	list := filepath.Join(p.dir, "map")
	write(t, list, lines.String())
	var stdout, stderr bytes.Buffer
	if code := run(t.Context(), []string{"copy", "--map", list}, os.Getenv, &stdout, &stderr); code != 0 {
		t.Fatalf("exit %d: %s", code, stderr.String())
	}

	// From here on the login is that of who pulls.
	home := t.TempDir()
	write(t, filepath.Join(home, "config.json"), fmt.Sprintf(`{"auths":{%q:{"auth":%q}}}`, p.ecrHost(), base64.StdEncoding.EncodeToString([]byte(user+":"+password))))
	cache, _ := os.UserCacheDir()
	t.Setenv("PATH", os.Getenv("PATH")+string(os.PathListSeparator)+filepath.Join(cache, "ecrferry-bench"))
	t.Setenv("DOCKER_CONFIG", home)
	t.Setenv("HOME", home)
	t.Setenv("REGISTRY_AUTH_FILE", filepath.Join(home, "config.json"))
	clients := []client{
		{"skopeo", func(image string) []string {
			return []string{"inspect", "--raw", "--tls-verify=false", "docker://" + image}
		},
			func(image string) []string {
				return []string{"copy", "--all", "--src-tls-verify=false", "docker://" + image, "dir:" + filepath.Join(home, "skopeo")}
			}},
		{"crane", func(image string) []string { return []string{"manifest", "--insecure", image} },
			func(image string) []string {
				return []string{"pull", "--insecure", "--format", "oci", image, filepath.Join(home, "crane")}
			}},
		{"regctl", func(image string) []string {
			return []string{"manifest", "get", "--host", "reg=" + p.ecrHost() + ",tls=disabled", "--format", "raw-body", image}
		}, func(image string) []string {
			return []string{"image", "copy", "--host", "reg=" + p.ecrHost() + ",tls=disabled", image, "ocidir://" + filepath.Join(home, "regctl")}
		}},
	}
	for _, c := range clients {
		t.Run(c.name, func(t *testing.T) {
			if c.name == "skopeo" {
				skopeotest.Find(t)
			} else if _, err := exec.LookPath(c.name); err != nil {
				t.Skip(c.name + " is not installed (make bench-copy)")
			}
			for tag, image := range images {
				at := p.ecrHost() + "/group/app:" + tag
				if got := spoken(t, c.name, c.manifest(at)...); !bytes.Equal(got, image.Manifest) && !bytes.Equal(got, append(bytes.Clone(image.Manifest), '\n')) {
					t.Errorf("%s: another manifest: %s", tag, got)
				}
				spoken(t, c.name, c.check(at)...)
			}
		})
	}
}

// spoken runs a program and returns what it prints.
func spoken(t *testing.T, name string, args ...string) []byte {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Errorf("%s %v: %v: %s", name, args, err, stderr.String())
	}
	return out
}
