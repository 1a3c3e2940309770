package ciconfig

import (
	"fmt"
	"strings"
)

// clients are lines that handle an image, or another artifact, by other clients of a registry.
func (m *maker) clients(name string) (out []string) {
	add := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	image, from := m.images[name], pick(m, m.tags[name])
	other := func(otherwise string) string { // nobody makes a tag of itself
		tag := pick(m, m.forms)
		if strings.Contains(tag, from) || strings.Contains(from, tag) || tag == "$TAG" || from == "$TAG" {
			return otherwise
		}
		return tag
	}
	tag, more := other("released-$CI_PIPELINE_ID"), other("kept-$CI_PIPELINE_ID")
	if more == tag {
		more = "kept-$CI_PIPELINE_ID"
	}
	switch m.IntN(16) {
	case 0:
		add("oras push --artifact-type application/vnd.sbom %s:sbom-%s sbom.json:application/json", image, pick(m, m.forms))
	case 1:
		add("oras push %s:%s,%s report.tgz", image, tag, more)
	case 2:
		add("oras cp %s:%s %[1]s:%[3]s,%s", image, from, tag, more)
	case 3:
		add("oras tag %s:%s %s %s", image, from, tag, more)
	case 4:
		add("crane mutate %s:%s --label version=1 -t %[1]s:%[3]s", image, from, tag)
	case 5:
		add("crane append -b %s:%s -f layer.tar -t %[1]s:%[3]s", image, from, tag)
	case 6:
		add("regctl image mod %s:%s --label version=1 --create %s", image, from, pick(m, []string{tag, image + ":" + tag}))
	case 7:
		add("for t in %s %s; do skopeo copy docker://%s:%s docker://%[3]s:$t; done", tag, more, image, from)
	case 8:
		add("buildctl build --frontend dockerfile.v0 --local context=. --local dockerfile=. --output type=image,name=%s:%s,push=true", image, tag)
	case 9:
		add(`buildctl build --frontend dockerfile.v0 --local context=. --local dockerfile=. --output type=image,\"name=%s:%s,%[1]s:%[3]s\",push=true`, image, tag, more)
	case 10:
		add("pack build %s:%s --builder paketobuildpacks/builder-jammy-base --publish%s", image, tag, pick(m, []string{"", " --tag " + image + ":" + more, " --cache-image " + image + ":cache"}))
	case 11:
		add("DIGEST=$(crane digest %s:%s)", image, from)
		add("cosign sign --yes %s@$DIGEST", image)
		add("cosign attest --yes --predicate sbom.json %s@${DIGEST}", image)
	case 12:
		add("cosign verify --key key.pub %s:%s", image, from)
	case 13:
		add("docker buildx build --output type=%s,name=%s:%s%s .", pick(m, []string{"image", "registry"}), image, tag, pick(m, []string{",push=true", ",push=true,compression=zstd"}))
	case 14:
		add("crane index append -m %s:%s -m %[1]s:%[3]s -t %[1]s:%[4]s", image, from, pick(m, m.tags[name]), tag)
	case 15:
		add("regctl index create %s:%s --ref %[1]s:%[3]s", image, tag, from)
	}
	return out
}

// listedDigests build an image for each platform and push it by its digest, which a later job
// finds in the name or the text of a file and puts into a list.
// https://docs.docker.com/build/ci/github-actions/multi-platform/
func (m *maker) listedDigests(name string) (out []string) {
	add := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	if m.listed == "" {
		m.listed, m.listedBy = m.images[name], pick(m, []string{"name", "name", "text"})
		add("docker buildx build --platform linux/$ARCH --output type=image,name=%s,push-by-digest=true,name-canonical=true,push=true --metadata-file meta.json .", m.listed)
		add(`digest=$(jq -r '."containerimage.digest"' meta.json)`)
		add("mkdir -p digests")
		return append(out, map[string]string{"name": `touch "digests/${digest#sha256:}"`, "text": "echo $digest > digests/$ARCH.txt"}[m.listedBy])
	}
	tags := "-t " + m.listed + ":" + pick(m, m.forms)
	if m.chance(40) {
		tags += " -t " + m.listed + ":" + pick(m, m.forms)
	}
	switch {
	case m.listedBy == "text" && m.chance(50):
		add("docker buildx imagetools create %s %s@$(cat digests/amd64.txt) %[2]s@$(cat digests/arm64.txt)", tags, m.listed)
	case m.listedBy == "text":
		add("AMD64=$(cat digests/amd64.txt) ARM64=$(cat digests/arm64.txt)")
		add("docker buildx imagetools create %s %s@$AMD64 %[2]s@$ARM64", tags, m.listed)
	case m.chance(30):
		add("cd digests")
		out = append(out, "for d in *; do REFS=\"$REFS "+m.listed+"@sha256:$d\"; done", "docker buildx imagetools create "+tags+" $REFS")
	default:
		add("cd digests")
		out = append(out, "docker buildx imagetools create "+tags+" $(printf '"+m.listed+"@sha256:%s ' *)")
		if strings.Contains(m.listed, "$") {
			out[1] = strings.ReplaceAll(out[1], "'", `"`)
		}
	}
	m.listed = ""
	return out
}
