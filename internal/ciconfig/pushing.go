package ciconfig

import (
	"slices"
	"strings"
)

// The tools that handle images, and which of their arguments they push.

// imageTools are commands whose arguments are image references.
var imageTools = map[string]bool{
	"docker": true, "podman": true, "buildah": true, "nerdctl": true, "skopeo": true, "crane": true, "regctl": true,
	"executor": true, "kubectl": true, "oc": true, "trivy": true, "grype": true, "syft": true, "cosign": true, "dive": true,
	"docker-compose": true, "kustomize": true, "container-structure-test": true, "hadolint": true, "notation": true, "img": true,
	"build-push": true, "snyk": true, "k3d": true, "kind": true, "buildctl": true, "buildctl-daemonless.sh": true, "deploy": true, "dockle": true, "manifest-tool": true,
	"oras": true, "flux": true, "pack": true,
}

// spoken are the words of a command, which is asked for the same ones for each of its arguments.
type spoken struct {
	lits  []string
	text  string
	known map[string]bool // by what was asked for
}

func spokenBy(lits []string) *spoken {
	return &spoken{lits, " " + strings.Join(lits, " ") + " ", map[string]bool{}}
}

// says says whether some words are in the command.
func (s *spoken) says(words string) bool {
	return s.asked(words, func() bool { return strings.Contains(s.text, words) })
}

// outputs says whether a build's output is the registry, other than its cache.
func (s *spoken) outputs() bool { return s.asked("\x00output", func() bool { return outputs(s.lits) }) }

func (s *spoken) asked(what string, find func() bool) bool {
	is, known := s.known[what]
	if !known {
		is = find()
		s.known[what] = is
	}
	return is
}

// sameTools are programs that take the words of another.
// https://depot.dev/docs/cli/reference
var sameTools = map[string]string{"depot": "docker", "kaniko-executor": "executor", "kaniko": "executor"}

// pushes says whether the argument names an image that the command pushes.
func pushes(line *spoken, i int, arg string) bool {
	lits := line.lits
	prev := lits[max(i-1, 0)]
	switch lits[0] {
	case "docker", "podman", "nerdctl", "img", "buildah":
		if len(lits) < 2 {
			return false
		}
		if lits[1] == "commit" {
			return i == len(lits)-1 && strings.HasPrefix(arg, "docker://")
		}
		if line.says(" push ") && !line.says(" build ") && !line.says(" bake ") {
			source, ok := pushSource(lits)
			return !ok || i != source
		}
		if line.says(" imagetools create ") {
			return prev == "-t" || prev == "--tag" || strings.HasPrefix(arg, "--tag=")
		}
		if line.says(" --push ") || line.says("push=true") || line.outputs() {
			if key, _, _ := strings.Cut(strings.TrimPrefix(arg, "--set="), "="); prev == "--set" || strings.HasPrefix(arg, "--set=") {
				return strings.HasSuffix(key, ".tags") // of a target of bake
			}
			for _, other := range []string{"--build-arg", "--cache-from", "--cache-to", "--build-context", "--label"} {
				if prev == other || strings.HasPrefix(arg, other) {
					return false
				}
			}
			return true // a tag, perhaps together with its flag out of a variable
		}
	case "buildctl", "buildctl-daemonless.sh":
		return strings.Contains(arg, "push=true") && cacheOf(arg, prev) == ""
	case "mvn", "mvnw", "gradle", "gradlew":
		return jibImage(lits, arg) && !line.says("dockerBuild") || strings.HasPrefix(arg, "--imageName=") && line.says(" bootBuildImage ") && line.says(" --publishImage ")
	case "dagger":
		return line.says(" publish ") && (prev == "--address" || strings.HasPrefix(arg, "--address="))
	case "singularity", "apptainer":
		return line.says(" push ") && i == len(lits)-1
	case "executor":
		if line.says(" --no-push ") || line.says(" --no-push=true ") {
			return false
		}
		return prev == "--destination" || prev == "-d" || strings.HasPrefix(arg, "--destination=") || strings.HasPrefix(arg, "-d=")
	case "skopeo":
		return line.says(" copy ") && i == len(lits)-1
	case "crane":
		switch {
		case len(lits) < 3:
			return false
		case lits[1] == "push", lits[1] == "copy", lits[1] == "cp":
			return i == 3
		case lits[1] == "append", lits[1] == "mutate", lits[1] == "rebase", lits[1] == "flatten", lits[1] == "index":
			return prev == "-t" || prev == "--tag" || prev == "--new_tag" || strings.HasPrefix(arg, "--tag=") || strings.HasPrefix(arg, "--new_tag=")
		}
	case "regctl":
		return regctlPushes(lits, i, arg, prev)
	case "cosign":
		return len(lits) > 1 && (lits[1] == "copy" || lits[1] == "load" || lits[1] == "upload") && i == len(lits)-1
	case "manifest-tool":
		return prev == "--target" || strings.HasPrefix(arg, "--target=")
	case "oras", "flux":
		if len(lits) > 3 && (lits[1] == "copy" || lits[1] == "cp") {
			return i > 2 && !slices.ContainsFunc(lits[i+1:], func(l string) bool { return !strings.HasPrefix(l, "-") })
		}
		return len(lits) > 2 && lits[1] == "push" && !strings.HasPrefix(prev, "--")
	case "pack":
		return line.says(" --publish ") && (i == 2 || prev == "-t" || prev == "--tag" || strings.HasPrefix(arg, "--tag="))
	}
	return copiesOut(lits) && strings.HasPrefix(arg, "docker://")
}

// regctlPushes is pushes for regctl.
// https://regclient.org/cli/regctl/
func regctlPushes(lits []string, i int, arg, prev string) bool {
	words := strings.Fields(verb(lits))
	if len(words) < 3 {
		return false
	}
	switch words[1] + " " + words[2] {
	case "image copy", "image cp":
		return i == len(lits)-1
	case "image import", "index create", "index add", "manifest put", "artifact put":
		return !strings.HasPrefix(prev, "--") && !strings.HasPrefix(arg, "-")
	case "image mod":
		return prev == "--create" || strings.HasPrefix(arg, "--create=") || slices.Contains(lits, "--replace") && !strings.HasPrefix(prev, "--")
	}
	return false
}

// copiesOut says whether a command is the program by which nix2container copies the image
// that it has built to a registry.
// https://github.com/nlewo/nix2container#nix2containerbuildimage
func copiesOut(lits []string) bool {
	return len(lits) > 1 && (lits[0] == "copy-to" || lits[0] == "nix" && lits[1] == "run" && len(lits) > 2 && strings.HasSuffix(lits[2], ".copyTo"))
}

// pushSource is the place of the local image in a push that names where it goes, too:
// buildah push IMAGE docker://DESTINATION.
func pushSource(lits []string) (source int, ok bool) {
	if lits[0] != "buildah" && lits[0] != "podman" {
		return 0, false
	}
	var names []int
	for i := slices.Index(lits, "push") + 1; i > 0 && i < len(lits); i++ {
		switch l := lits[i]; {
		case pushValues[l]:
			i++
		case !strings.HasPrefix(l, "-"):
			names = append(names, i)
		}
	}
	if len(names) != 2 {
		return 0, false
	}
	return names[0], true
}

// pushValues are the flags of buildah push and podman push that take a value.
// https://github.com/containers/buildah/blob/main/docs/buildah-push.1.md
var pushValues = map[string]bool{"--authfile": true, "--cert-dir": true, "--compression-format": true, "--compression-level": true, "--creds": true, "--digestfile": true,
	"--encrypt-layer": true, "--encryption-key": true, "--format": true, "-f": true, "--retry": true, "--retry-delay": true, "--sign-by": true, "--sign-passphrase-file": true}

// outputs is the same for the words.
func outputs(lits []string) bool {
	for i, l := range lits {
		flag, _, joined := strings.Cut(l, "=")
		if (flag == "-o" || flag == "--output") && (joined && strings.Contains(l, "type=registry") || !joined && i+1 < len(lits) && strings.Contains(lits[i+1], "type=registry")) {
			return true
		}
	}
	return false
}
