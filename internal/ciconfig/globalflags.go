package ciconfig

import (
	"path"
	"slices"
	"strings"
)

// globalFlags are the flags of a tool that stand before its subcommand and take a value
// behind a space. Others before it take none.
//   - https://docs.docker.com/reference/cli/docker/
//   - https://docs.podman.io/en/latest/markdown/podman.1.html
//   - https://github.com/containerd/nerdctl/blob/main/docs/command-reference.md#global-flags
//   - https://github.com/containers/buildah/blob/main/docs/buildah.1.md
//   - https://github.com/google/go-containerregistry/blob/main/cmd/crane/doc/crane.md
//   - https://regclient.org/cli/regctl/
//   - https://helm.sh/docs/helm/helm/
var globalFlags = map[string][]string{
	"docker":  {"--config", "-c", "--context", "-H", "--host", "-l", "--log-level", "--tlscacert", "--tlscert", "--tlskey"},
	"podman":  {"--cgroup-manager", "--config", "--conmon", "-c", "--connection", "--events-backend", "--hooks-dir", "--identity", "--imagestore", "--log-level", "--module", "--namespace", "--network-cmd-path", "--network-config-dir", "--out", "--root", "--runroot", "--runtime", "--runtime-flag", "--ssh", "--storage-driver", "--storage-opt", "--tmpdir", "--url", "--volumepath"},
	"nerdctl": {"-a", "--address", "-H", "--host", "--cgroup-manager", "--cni-netconfpath", "--cni-path", "--data-root", "--host-gateway-ip", "--hosts-dir", "-n", "--namespace", "--snapshotter", "--storage-driver"},
	"buildah": {"--cgroup-manager", "--log-level", "--registries-conf", "--registries-conf-dir", "--root", "--runroot", "--short-name-alias-conf", "--storage-driver", "--storage-opt", "--userns-gid-map", "--userns-uid-map"},
	"crane":   {"--platform"},
	"gcrane":  {"--platform"},
	"regctl":  {"--host", "--logopt", "--user-agent", "-v", "--verbosity"},
	"helm":    {"--burst-limit", "--color", "--colour", "--content-cache", "--kube-apiserver", "--kube-as-group", "--kube-as-user", "--kube-ca-file", "--kube-context", "--kube-tls-server-name", "--kube-token", "--kubeconfig", "-n", "--namespace", "--qps", "--registry-config", "--repository-cache", "--repository-config"},
}

// managed are the subcommands that mean the same behind a noun: docker image push.
// https://docs.docker.com/reference/cli/docker/image/
var managed = map[string][]string{
	"image":     {"build", "import", "load", "pull", "push", "save", "tag"},
	"builder":   {"build"},
	"container": {"commit", "create", "exec", "run"},
}

// buildxFlags are those of docker buildx.
// https://docs.docker.com/reference/cli/docker/buildx/
var buildxFlags = []string{"--builder"}

// short is the command with its subcommand right behind its tool, as it is mostly written:
// without the flags for all subcommands, and without the noun.
func (c *command) short() *command {
	tool := path.Base(c.lit(0))
	if same, ok := sameTools[tool]; ok {
		tool = same
	}
	values, ok := globalFlags[tool]
	if !ok {
		return c
	}
	end := behindFlags(c.lits, 1, values)
	if containers := tool == "docker" || tool == "podman" || tool == "nerdctl"; containers && end+1 < len(c.lits) {
		switch noun := c.lits[end]; {
		case slices.Contains(managed[noun], c.lits[end+1]):
			end++
		case noun == "buildx":
			c = c.without(end+1, behindFlags(c.lits, end+1, buildxFlags))
		}
	}
	return c.without(1, end)
}

// behindFlags is the place of the first word behind the flags that begin at i, of which
// some take a value.
func behindFlags(lits []string, i int, values []string) int {
	for i < len(lits) && strings.HasPrefix(lits[i], "-") {
		if slices.Contains(values, lits[i]) {
			i++
		}
		i++
	}
	return i
}

// without is the command without its words from i up to end. One that would have no
// subcommand then stays as it is.
func (c *command) without(i, end int) *command {
	if i == end || end >= len(c.lits) {
		return c
	}
	out := *c
	out.lits = slices.Concat(c.lits[:i], c.lits[end:])
	out.args, out.words, out.pos, out.alt, out.nth = nil, nil, nil, nil, nil
	for k, p := range c.pos {
		switch {
		case p >= end:
			p -= end - i
		case p >= i:
			continue
		}
		out.args, out.words, out.pos = append(out.args, c.args[k]), append(out.words, c.words[k]), append(out.pos, p)
		out.alt, out.nth = append(out.alt, c.alt[k]), append(out.nth, c.nth[k])
	}
	return &out
}
