package ciconfig

import (
	"fmt"
	"strings"
)

// delivery writes the jobs of a whole way from the build to the environments, as most projects
// have it: a build with caches, tests in the image, a scan, the promotion by hand and a template
// of deployments. Its image is one that no other jobs build.
func (m *maker) delivery(name string) {
	image, tag := pick(m, []string{"$CI_REGISTRY_IMAGE/shop", "${CI_REGISTRY_IMAGE}/shop", "$SHOP_IMAGE"}), pick(m, []string{
		"$CI_COMMIT_SHORT_SHA", "$CI_COMMIT_SHA", "$CI_COMMIT_REF_SLUG", "$CI_COMMIT_REF_SLUG-$CI_COMMIT_SHORT_SHA", "$CI_PIPELINE_ID", "latest", "${CI_COMMIT_TAG:-$CI_COMMIT_SHORT_SHA}", "$CI_COMMIT_BRANCH"})
	vars := []string{}
	if image == "$SHOP_IMAGE" {
		vars = append(vars, "    SHOP_IMAGE: $CI_REGISTRY_IMAGE/shop")
	}
	if m.chance(50) && !strings.HasPrefix(tag, "${") {
		vars = append(vars, "    SHOP_TAG: "+tag)
		tag = "$SHOP_TAG"
	}
	m.line(".%s:", name)
	if len(vars) > 0 {
		m.line("  variables:\n%s", strings.Join(vars, "\n"))
	}
	m.line("  interruptible: true")
	where := pick(m, []string{"", "", `[{if: $CI_COMMIT_BRANCH}]`, `[{if: $CI_COMMIT_BRANCH}, {if: $CI_COMMIT_TAG}]`, `[{if: '$CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH'}]`, `[{if: '$CI_PIPELINE_SOURCE == "merge_request_event"'}, {if: '$CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH'}]`})
	job := func(title, stage string, rules string, keys ...string) {
		m.line("%s %s:\n  extends: .%s\n  stage: %s", name, title, name, stage)
		for _, k := range keys {
			m.line("  %s", k)
		}
		m.rules(rules)
	}
	ref := image + ":" + tag
	job("build", "build", where)
	digest := m.deliveredBuild(image, ref)
	if m.chance(50) {
		job("test", "test", where)
		m.list("script", []string{"docker run --rm " + ref + " make check"})
	}
	if m.chance(30) && !strings.Contains(tag, ":-") {
		job("lint", "test", where, "image: "+ref)
		m.list("script", []string{"make check"})
	}
	if m.chance(40) {
		job("scan", "test", where, pick(m, []string{"allow_failure: true", "needs: [" + name + " build]"}))
		m.list("script", []string{pick(m, []string{"trivy image --exit-code 1 " + ref, "grype " + ref, "skopeo inspect docker://" + ref})})
	}
	released := ref
	if m.chance(50) {
		to := pick(m, []string{"stable", "$CI_COMMIT_TAG", "production", "released-$CI_PIPELINE_ID", "$CI_COMMIT_REF_SLUG-released"})
		rules := pick(m, []string{`[{if: '$CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH', when: manual}]`, `[{if: '$CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH'}]`, where})
		if to == "$CI_COMMIT_TAG" {
			rules = `[{if: $CI_COMMIT_TAG}]`
		}
		job("promote", "deploy", rules)
		m.list("script", m.retag(image, tag, to))
		if m.chance(40) && to != "$CI_COMMIT_TAG" {
			released = image + ":" + to
		}
	}
	m.deliveries(name, image, ref, released, digest, where)
}

// deliveredBuild is the script of the build, and how those after it name the image by its digest,
// "" where they do not.
func (m *maker) deliveredBuild(image, ref string) (digest string) {
	var out []string
	add := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	branch := image + ":" + pick(m, []string{"$CI_COMMIT_REF_SLUG", "cache-$CI_COMMIT_REF_SLUG"})
	fallback := image + ":" + pick(m, []string{"latest", "main", "$CI_DEFAULT_BRANCH", "cache-main"})
	switch m.IntN(6) {
	case 0: // the cache of the branch, or that of the default one
		add("docker pull %s || docker pull %s || true", branch, fallback)
		add("docker build --cache-from %s --cache-from %s -t %s -t %s .", branch, fallback, ref, branch)
		add("docker push %s", ref)
		add("docker push %s", branch)
		add(`if [ "$CI_COMMIT_BRANCH" = "$CI_DEFAULT_BRANCH" ]; then docker tag %s %s; docker push %[2]s; fi`, ref, fallback)
	case 1:
		add("docker buildx build --push --cache-from type=registry,ref=%s --cache-to type=registry,ref=%[1]s,mode=max -t %s .", branch, ref)
	case 2:
		add("/kaniko/executor --context . --destination %s --digest-file digest.txt", ref)
		add(`echo "SHOP_DIGEST=$(cat digest.txt)" > digest.env`)
		m.line("  artifacts:\n    reports:\n      dotenv: digest.env")
		digest = "$SHOP_DIGEST"
	case 3:
		add("docker build -t %s .", ref)
		add("docker push %s", ref)
		add("SHOP_DIGEST=$(crane digest %s)", ref)
		add(`echo "SHOP_DIGEST=$SHOP_DIGEST" >> digest.env`)
		m.line("  artifacts:\n    reports:\n      dotenv: digest.env")
		digest = "$SHOP_DIGEST"
	case 4: // what is there is not built again
		add("if ! docker manifest inspect %s > /dev/null; then docker build -t %[1]s .; docker push %[1]s; fi", ref)
	default:
		add("docker build --cache-from %s -t %s .", fallback, ref)
		add("docker push %s", ref)
		if m.chance(50) {
			add("docker tag %s %s:latest", ref, image)
			add("docker push %s:latest", image)
		}
	}
	m.list("script", out)
	return digest
}

// retag are lines that give an image another tag.
func (m *maker) retag(image, from, to string) []string {
	a, b := image+":"+from, image+":"+to
	return pick(m, [][]string{
		{"docker pull " + a, "docker tag " + a + " " + b, "docker push " + b}, {"crane tag " + a + " " + to}, {"crane copy " + a + " " + b},
		{"skopeo copy docker://" + a + " docker://" + b}, {"regctl image copy " + a + " " + b}, {"docker buildx imagetools create -t " + b + " " + a},
	})
}

// deliveries are the deployments to the environments, by a template or a matrix, and what
// another project is told.
func (m *maker) deliveries(name, image, ref, released, digest, where string) {
	of := func(ref string) []string {
		repository, tag, _ := strings.Cut(ref, ":")
		if strings.HasPrefix(ref, "${") {
			repository, tag, _ = strings.Cut(strings.TrimPrefix(ref, "${CI_REGISTRY_IMAGE}"), ":")
			repository = "${CI_REGISTRY_IMAGE}" + repository
		}
		if digest != "" && m.chance(40) {
			return []string{"kubectl set image deploy/shop app=" + image + "@" + digest}
		}
		return pick(m, [][]string{
			{"kubectl set image deploy/shop app=" + ref}, {"kubectl -n $TARGET set image deploy/shop app=" + ref},
			{"helm upgrade --install shop chart --set image.repository=" + repository + " --set image.tag=" + tag},
			{"export SHOP=" + ref, "envsubst < k8s/shop.yaml | kubectl apply -f -"},
		})
	}
	m.files["k8s/shop.yaml"] = "kind: Deployment\nspec:\n  template:\n    spec:\n      containers:\n        - name: app\n          image: $SHOP\n"
	production := pick(m, []string{`[{if: '$CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH', when: manual}]`, `[{if: $CI_COMMIT_TAG}]`, `[{if: '$CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH'}]`})
	if m.chance(30) {
		m.line("%s deploy:\n  extends: .%[1]s\n  stage: deploy\n  parallel:\n    matrix:\n      - TARGET: [staging, production]\n  environment: $TARGET", name)
		m.list("script", of(released))
		m.rules(production)
	} else {
		m.line(".%s deploy:\n  extends: .%[1]s\n  stage: deploy", name)
		m.list("script", of(ref))
		m.line("%s staging:\n  extends: .%[1]s deploy\n  environment: staging\n  variables: {TARGET: staging}", name)
		m.rules(`[{if: '$CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH'}]`)
		m.line("%s production:\n  extends: .%[1]s deploy\n  environment: {name: production}\n  variables: {TARGET: production}", name)
		if m.chance(50) {
			m.list("script", of(released))
		}
		m.rules(production)
		if m.chance(40) {
			m.line("%s review:\n  extends: .%[1]s deploy\n  environment: {name: review/$CI_COMMIT_REF_SLUG, on_stop: %[1]s stop}\n  variables: {TARGET: review}", name)
			m.rules(`[{if: '$CI_PIPELINE_SOURCE == "merge_request_event"'}]`)
			m.line("%s stop:\n  stage: deploy\n  script:\n    - kubectl delete deploy/shop\n  environment: {name: review/$CI_COMMIT_REF_SLUG, action: stop}", name)
			m.rules(`[{if: '$CI_PIPELINE_SOURCE == "merge_request_event"', when: manual}]`)
		}
	}
	if m.chance(25) && !strings.Contains(ref, ":-") { // another project is told
		m.line("%s downstream:\n  extends: .%[1]s\n  stage: deploy\n  variables:\n    DEPLOY_IMAGE: %s\n  trigger:\n    project: team/deployments", name, ref)
		m.rules(where)
	}
}
