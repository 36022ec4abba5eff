# Every target brings up .venv by itself: `make demo` on a fresh clone is enough.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules

# Tools keep their caches and temporary files inside the checkout.
export XDG_CACHE_HOME ?= $(CURDIR)/.cache
export ANSIBLE_HOME ?= $(CURDIR)/.cache/ansible
export PATH := $(CURDIR)/.venv/bin:$(PATH)

RUN := .venv/.ready
DEV := .venv/.ready-dev
AWS := .cache/awscli/.ready
PYTEST_ARGS ?=
BENCH_ARGS ?=

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# --- the environment --------------------------------------------------------------------------

$(RUN): scripts/venv.sh requirements/uv.txt requirements/run.txt
	@scripts/venv.sh run

$(DEV): $(RUN) requirements/dev.txt requirements/collections.txt scripts/collections.sh
	@scripts/venv.sh dev

$(AWS): $(DEV) scripts/awscli.sh requirements/awscli.txt
	@scripts/awscli.sh

.PHONY: venv lock clean
venv: $(DEV) ## Bring up .venv with everything that development needs

lock: $(RUN) ## Resolve requirements/*.in again into the committed locks
	@scripts/lock.sh

clean: ## Remove what the other targets have made, .venv too
	@test ! -d .cache/cluster/run || python -m tests.cluster.home down --purge
	rm -rf .venv .venv-core .cache .demo dist .mypy_cache .pytest_cache .ruff_cache .ansible .coverage*

# --- seeing it work ---------------------------------------------------------------------------

.PHONY: demo demo-keep demo-down bench-health bench-backup bench-cache bench-platforms
demo: $(RUN) ## Deploy, watch, restart, break and stop a real agent on a real stack
	@python demo/run.py

demo-keep: $(RUN) ## The same, and leave it running with its addresses printed
	@python demo/run.py --keep

demo-down: $(RUN) ## Stop what demo-keep left running
	@python demo/run.py --down

bench-health: $(DEV) ## Measure the health sweep against the figures in the README
	@python tests/bench/health.py

bench-backup: $(DEV) $(AWS) ## Measure backup and restore beside the guide's own commands
	@python tests/bench/backup.py $(BENCH_ARGS)

bench-cache: $(DEV) ## Measure the cache's comparison, change and foresight, also of a million keys
	@scripts/install-component.sh
	@python tests/bench/cache.py $(BENCH_ARGS)

bench-platforms: $(DEV) ## Operate every platform under load, and measure what it takes
	@scripts/install-platforms.sh
	@scripts/install-cluster.sh
	@python tests/bench/platforms.py $(BENCH_ARGS)

# --- tests ------------------------------------------------------------------------------------

.PHONY: test test-slow test-root test-unit test-component images test-platforms test-cluster
.PHONY: cluster test-versions lint
test: $(DEV) ## Lint, unit and component tests with the engine's coverage
	@scripts/install-component.sh || test "$${CI:-}" != true
	@scripts/test.sh $(PYTEST_ARGS)

test-slow: $(DEV) ## Component tests that take long and seldom find anything
	@scripts/install-component.sh || test "$${CI:-}" != true
	@pytest tests/component -m slow --numprocesses 4 --dist loadfile $(PYTEST_ARGS)

test-root: $(DEV) ## Component tests of what only root can do
	@pytest tests/component -m root $(PYTEST_ARGS)

test-unit: $(DEV) ## Unit tests only
	@pytest tests/unit $(PYTEST_ARGS)

test-component: $(DEV) ## Component tests only, on the embedded stack
	@scripts/install-component.sh || test "$${CI:-}" != true
	@pytest tests/component $(PYTEST_ARGS)

images: $(DEV) ## Build the images of the tests' containers and machines, if not cached
	@scripts/install-platforms.sh
	@python -m tests.platforms.home build

test-platforms: $(DEV) ## Docker and systemd, for real: needs Docker or root
	@scripts/install-platforms.sh || test "$${CI:-}" != true
	@python -m tests.platforms.home build || test "$${CI:-}" != true
	@pytest tests/platforms --numprocesses auto --dist loadfile $(PYTEST_ARGS)

test-versions: $(DEV) ## The tests that touch ansible-core, on every supported version
	@scripts/test-versions.sh

cluster: $(DEV) ## Build the programs and images of the tests' Kubernetes, if they are not cached
	@scripts/install-cluster.sh
	@python -m tests.cluster.home build

test-cluster: $(DEV) ## Tests on KUBECONFIG's cluster, on kind, or on a real node of our own
	@test -n "$${KUBECONFIG:-}" || scripts/install-cluster.sh || test -z "$${CI:-}"
	@python -m tests.cluster.home run scripts/test-cluster.sh $(PYTEST_ARGS)

lint: $(DEV) ## ruff, mypy, import-linter, ansible-lint, yamllint and shellcheck
	@scripts/lint.sh

# --- what Galaxy and its reviewers run --------------------------------------------------------

.PHONY: sanity importer molecule dist
sanity: $(DEV) ## ansible-test sanity, without one ignored finding
	@scripts/sanity.sh

importer: dist ## Import the artifact as Galaxy does
	@scripts/importer.sh

molecule: $(DEV) ## Every molecule scenario, verified by testinfra
	@scripts/install-platforms.sh
	@scripts/install-cluster.sh
	@scripts/molecule.sh

dist: $(DEV) ## Build the collection artifact and check what is in it
	@python scripts/dist.py
