# Everything that ecrferry's developers and operators run. `make help` lists it.

SHELL       := /bin/bash
GO          ?= go
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOVULNCHECK := golang.org/x/vuln/cmd/govulncheck@v1.9.0
GOTESTSUM   := gotest.tools/gotestsum@v1.13.0
TESTFLAGS   ?=

.DEFAULT_GOAL := help

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: ## build bin/worker, bin/enqueue and bin/sandbox
	@mkdir -p bin
	$(GO) build -trimpath -o bin/ ./cmd/...

.PHONY: demo
demo: deps build ## migrate the sample projects on local stand-ins and show the report (KEEP=1 leaves all running)
	@bin/sandbox demo --dir .demo $(if $(KEEP),--keep)

.PHONY: demo-stop
demo-stop: ## end what make demo KEEP=1 left running
	@bin/sandbox stop --dir .demo

.PHONY: demo-clean
demo-clean: ## forget the demo: its database and the state of its stand-ins
	@! test -x bin/sandbox || bin/sandbox stop --dir .demo
	rm -rf .demo

.PHONY: deps
deps: ## install what the tests can use (Debian, as root): postgresql, skopeo, chromium
	@.ci/deps

BENCHFLAGS  ?= --preset small --runs 3
PEERS       := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/ecrferry-bench

.PHONY: bench-copy
bench-copy: ## compare enqueue copy with regsync, regctl, crane and skopeo (BENCHFLAGS="--preset large --latency 0,20"; see bin/bench --help)
	@mkdir -p bin $(PEERS)
	@test -x $(PEERS)/crane || GOBIN=$(PEERS) $(GO) install github.com/google/go-containerregistry/cmd/crane@v0.22.1
	@test -x $(PEERS)/regsync || GOBIN=$(PEERS) $(GO) install github.com/regclient/regclient/cmd/regsync@v0.11.7
	@test -x $(PEERS)/regctl || GOBIN=$(PEERS) $(GO) install github.com/regclient/regclient/cmd/regctl@v0.11.7
	$(GO) build -trimpath -o bin/ ./cmd/bench
	$(GO) build -trimpath -o $(PEERS)/enqueue ./cmd/enqueue
	bin/bench --bin $(PEERS) --json bin/bench.json $(BENCHFLAGS)

.PHONY: test
test: deps ## run all tests with the race detector and name the skipped ones; whatever they need they start themselves
	$(GO) run $(GOTESTSUM) --format pkgname -- -race -timeout 15m $(TESTFLAGS) ./...

.PHONY: fuzz
fuzz: ## run each fuzzer for a minute (FUZZTIME=…)
	@set -e; for pkg in $$($(GO) list ./...); do \
	  for f in $$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz' || true); do \
	    echo "$$pkg $$f"; $(GO) test -run '^$$' -fuzz "^$$f$$" -fuzztime $${FUZZTIME:-1m} $$pkg; done; done

.PHONY: check
check: fmt-check vet lint vuln rules updown ## format, vet, lint, known vulnerabilities, import rules, migrations up/down/up

.PHONY: fmt-check
fmt-check:
	@out=$$(gofmt -l $$(git ls-files '*.go')); test -z "$$out" || { echo "not gofmt-ed (run gofmt -w):"; echo "$$out"; exit 1; }
	@echo "gofmt: clean"

.PHONY: vet
vet:
	@$(GO) vet ./... && echo "go vet: clean"

.PHONY: lint
lint:
	@$(GO) run $(STATICCHECK) ./... && echo "staticcheck: clean"

.PHONY: vuln
vuln:
	@if curl -fsS -m 10 -o /dev/null https://vuln.go.dev/index/db.json 2>/dev/null; \
	then $(GO) run $(GOVULNCHECK) ./...; \
	else echo "govulncheck: skipped, its database (vuln.go.dev) cannot be reached"; fi

.PHONY: rules
rules:
	@$(GO) test -count=1 ./internal/house && echo "import rules: kept"

.PHONY: updown
updown:
	@out=$$($(GO) test -count=1 -v -run '^TestMigrateUpDownUp$$' ./internal/postgres) || { echo "$$out"; exit 1; }; \
	grep -q -- '--- PASS: TestMigrateUpDownUp' <<<"$$out" || { echo "the test of the migrations did not run"; exit 1; }
	@echo "migrations: up, down, up"
