# Targets do their own set-up on a machine that has only Python 3.11 or newer.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
KUBERNETES ?= 1.36.3
N ?= 10000
SCENARIO ?= steady
LOAD_SECONDS ?= 60
VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)

.DEFAULT_GOAL := help

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 22

# The virtual environment is brought up to date when a lock file changes. First what the program needs
# to run, and setuptools, which installs it without reaching out; then what developers need.
$(VENV)/.run: requirements.txt requirements-build.txt pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("Railyard needs Python 3.11 or newer") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --require-hashes --requirement requirements.txt --requirement requirements-build.txt
	$(BIN)/pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.ready: $(VENV)/.run requirements-dev.txt
	$(BIN)/pip install --quiet --require-hashes --requirement requirements-dev.txt
	@touch $@

demo: $(VENV)/.run ## serve the embedded snapshot and rank its nodes for a GPU+NIC pod
	$(BIN)/railyard demo $(DEMO)

test: $(VENV)/.ready ## run the tests
	$(BIN)/pytest -q -n auto -m "not controlplane and not prometheus and not locust and not browser"

lint: $(VENV)/.ready ## check format, lint, types and room contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

lock: $(VENV)/.ready ## resolve the dependencies again, with hashes
	$(BIN)/uv pip compile -q pyproject.toml --universal --python-version 3.11 --generate-hashes --no-header --no-annotate -o requirements.txt
	$(BIN)/uv pip compile -q pyproject.toml --extra report --group test --group lint --group package --universal --python-version 3.11 -c requirements.txt --generate-hashes --no-header --no-annotate -o requirements-dev.txt
	$(BIN)/uv pip compile -q --group package --universal --python-version 3.11 -c requirements-dev.txt --generate-hashes --no-header --no-annotate -o requirements-build.txt
	$(BIN)/uv pip compile -q pyproject.toml --extra report --group test --group page --group docs --group release --universal --python-version 3.11 -c requirements-dev.txt --generate-hashes --no-header --no-annotate -o requirements-tools.txt
	$(BIN)/uv pip compile -q pyproject.toml --group test --group load --universal --python-version 3.11 -c requirements.txt --generate-hashes --no-header --no-annotate -o requirements-load.txt

$(VENV)/.load: $(VENV)/.ready requirements-load.txt
	$(BIN)/pip install --quiet --require-hashes --requirement requirements-load.txt
	@touch $@

.PHONY: load-tools
load-tools: $(VENV)/.load ## install locust

load: $(VENV)/.load ## run the load test SCENARIO for LOAD_SECONDS: a table, and a report in loadtests/out/load
	$(BIN)/python -m loadtests.traffic.run --scenario $(SCENARIO) --seconds $(LOAD_SECONDS) $(if $(LOAD_NODES),--nodes $(LOAD_NODES))

load-ui: $(VENV)/.load ## the same with locust's page, on loopback
	$(BIN)/python -m loadtests.traffic.run --scenario $(SCENARIO) --seconds $(LOAD_SECONDS) $(if $(LOAD_NODES),--nodes $(LOAD_NODES)) --ui

test-load: $(VENV)/.load ## run the tests of the load tests: locust, for seconds
	$(BIN)/pytest -q -m locust tests/loadtests

$(VENV)/.tools: $(VENV)/.ready requirements-tools.txt
	$(BIN)/pip install --quiet --require-hashes --requirement requirements-tools.txt
	@touch $@

docs: $(VENV)/.tools ## build the pages of docs/ into build/docs
	$(BIN)/sphinx-build --fail-on-warning --keep-going --quiet docs build/docs
	@echo "build/docs/index.html"

image: ## build the image with podman on BASE, which is pinned by digest
	@case "$(BASE)" in *@sha256:*) ;; *) echo "BASE=python:3.14-slim@sha256:… pins the base image; docs/releasing.md says how to find it"; exit 2;; esac
	podman build --file deploy/Containerfile --build-arg BASE=$(BASE) --build-arg VERSION=$(VERSION) \
	  --build-arg REVISION=$$(git rev-parse HEAD) --tag railyard:$(VERSION) .

sbom: $(VENV)/.tools ## write the software bill of materials of the runtime lock into dist/
	$(BIN)/python -m deploy.release sbom

release: $(VENV)/.tools ## build wheel, sdist, chart and SBOM into dist/, and check them; DRAFT=1: before there is a tag
	$(BIN)/python -m deploy.release $(if $(DRAFT),--draft)

schema: $(VENV)/.ready ## write the JSON schemas of policies and the table of completion again
	$(BIN)/railyard schema > config/policy.schema.json
	$(BIN)/railyard schema --candidate > config/candidate.schema.json
	$(BIN)/railyard completion json > config/completion.json

controlplane: $(VENV)/.ready ## build helm, the real control plane and allocator of KUBERNETES (needs Go; cached)
	$(BIN)/python -m tests.kit.controlplane.build --kubernetes $(KUBERNETES)
	$(BIN)/python -m tests.kit.controlplane.oracle.build --kubernetes $(basename $(KUBERNETES))
	$(BIN)/python -m tests.kit.deploy.tools

test-controlplane: controlplane ## run the tests with the real control plane of KUBERNETES
	KUBERNETES=$(KUBERNETES) $(BIN)/pytest -q -m controlplane

test-monitoring: $(VENV)/.ready ## run the rules, the dashboard and the metrics through a real Prometheus (needs Debian; cached)
	$(BIN)/python -m tests.kit.deploy.prometheus
	$(BIN)/pytest -q -m prometheus tests/deploy

test-page: $(VENV)/.tools ## run the web page in Debian's Chromium (needs Debian)
	command -v chromium >/dev/null || { apt-get update -qq && apt-get install -qq --yes --no-install-recommends chromium; } >/dev/null
	$(BIN)/pytest -q -m browser tests/page

fuzz-allocator: $(VENV)/.ready ## compare N predictions with the real allocator of KUBERNETES (needs Go)
	$(BIN)/python -m tests.fuzz.fuzz_allocator --cases $(N) --kubernetes $(KUBERNETES) $(if $(SEED),--seed $(SEED))

fuzz-selectors: $(VENV)/.ready ## compare N selectors with the real CEL of KUBERNETES (needs Go)
	$(BIN)/python -m tests.fuzz.fuzz_selectors --cases $(N) --kubernetes $(KUBERNETES) $(if $(SEED),--seed $(SEED))

fuzz-objects: $(VENV)/.ready ## put N hostile values into every field that is read
	$(BIN)/python -m tests.fuzz.fuzz_objects --cases $(N) $(if $(SEED),--seed $(SEED))

fuzz-wire: $(VENV)/.ready ## send N mutated bodies to the verbs
	$(BIN)/python -m tests.fuzz.fuzz_wire --cases $(N) $(if $(SEED),--seed $(SEED))

.PHONY: help demo test lint lock load load-ui test-load docs image sbom release schema controlplane test-controlplane test-monitoring test-page fuzz-allocator fuzz-selectors fuzz-objects fuzz-wire
