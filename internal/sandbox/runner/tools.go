package runner

import (
	"path"
	"strings"

	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/ci"
)

// commands are the programs that are modelled. It is filled in init because some
// of them run others.
var commands map[string]command

func init() {
	commands = map[string]command{
		"sh": cmdShell, "bash": cmdShell, "ash": cmdShell, "dash": cmdShell,
		"docker": cmdDocker, "podman": cmdDocker, "nerdctl": cmdDocker, "buildah": cmdBuildah, "docker-compose": cmdCompose,
		"executor": cmdKaniko, "skopeo": cmdSkopeo, "crane": cmdCrane, "gcrane": cmdCrane, "trivy": cmdTrivy, "grype": cmdTrivy,
		"deploy": cmdDeploy, "kubectl": cmdKubectl, "helm": cmdHelm, "envsubst": cmdEnvsubst, "aws": cmdAWS, "git": cmdGit,
		"curl": cmdCurl, "wget": cmdWget,
	}
	for _, group := range []map[string]command{fileCommands, textCommands, systemCommands} {
		for name, f := range group {
			commands[name] = f
		}
	}
}

// outward are the commands that containers do not have unless their image
// brings them.
var outward = set("docker podman nerdctl buildah docker-compose executor skopeo crane gcrane trivy grype deploy kubectl helm aws")

// tools are programs that are known by name only: they print a line and succeed.
var tools = set(`
	npm npx yarn pnpm node corepack bun deno tsc eslint prettier jest vitest mocha playwright cypress vite webpack ng
	python python3 pip pip3 pytest tox nox ruff black flake8 mypy pylint isort poetry pipenv uv uvx bandit coverage django-admin gunicorn celery alembic
	go gofmt golangci-lint staticcheck gotestsum govulncheck
	composer php phpunit phpstan phpcs php-cs-fixer psalm artisan pest rector phpcbf
	java javac mvn mvnw gradle gradlew sbt ant kotlinc
	ruby gem bundle rake rspec rubocop rails
	cargo rustc rustfmt clippy-driver dotnet msbuild mix elixir stack cabal ghc
	make cmake ninja gcc g++ cc ld autoconf automake configure meson bazel just task
	apk apt apt-get yum dnf microdnf add-apt-repository update-ca-certificates
	hadolint shellcheck shfmt yamllint markdownlint ansible ansible-lint ansible-playbook terraform tofu tflint checkov kubeval kubeconform kustomize helmfile semgrep gitleaks
	psql pg_dump pg_isready mysql mysqladmin redis-cli sqlite3 mongo migrate flyway liquibase
	nginx apachectl httpd supervisord openssl gpg ssh-keygen zip unzip tar gzip gunzip bzip2 xz rsync
	sonar-scanner release-cli semantic-release renovate cosign syft oras vault codecov newman k6 lighthouse artillery robot
	hugo jekyll mkdocs sphinx-build asciidoctor pandoc pdflatex latexmk doxygen
`)

func set(words string) map[string]bool {
	m := map[string]bool{}
	for _, w := range strings.Fields(words) {
		m[w] = true
	}
	return m
}

// builtTool tells whether a relative path is where package managers and project
// templates leave a known tool.
func builtTool(name string) bool {
	if strings.HasPrefix(name, "/") || !(tools[path.Base(name)] || commands[path.Base(name)] != nil) {
		return false
	}
	dir := strings.TrimPrefix(path.Dir(name), "./")
	for _, d := range []string{"vendor/bin", "node_modules/.bin", "venv/bin", ".venv/bin", "env/bin"} {
		if dir == d || strings.HasSuffix(dir, "/"+d) {
			return true
		}
	}
	return false
}

// bare are the official images of languages, systems and servers. They bring no
// docker client: a job in one of them cannot build images.
var bare = set(`alpine debian ubuntu busybox fedora rockylinux almalinux centos node python golang php composer ruby rust openjdk
	eclipse-temurin maven gradle nginx httpd postgres mysql mariadb redis perl elixir erlang haskell swift bash buildpack-deps`)

func clientIn(image string) bool {
	ref, err := parseRef(image)
	if err != nil || ref.Host != "docker.io" {
		return true
	}
	name, ok := strings.CutPrefix(ref.Repository, "library/")
	return !ok || !bare[name]
}

// image is the name of the job's image.
func (j *job) image() string {
	if j.e.Job.Image == nil {
		return "docker:27" // the runners' default
	}
	return ci.Expand(j.e.Job.Image.Name, j.vars)
}
