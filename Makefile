# Every target makes what it needs, on a fresh machine too: Python 3.11 or newer is enough for all but `tools`.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
UV_VERSION := 0.13.9
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
export PATH := $(CURDIR)/$(BIN):$(PATH)
# Byte code is kept: every step of a pipeline starts an interpreter.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo test test-cluster tools lint format fuzz bench docs lock build clean

help: ## List the targets.
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

$(READY): pyproject.toml uv.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "make: Atlas needs Python 3.11 or newer; set PYTHON=…" >&2; exit 2; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q uv==$(UV_VERSION)
	uv export -q --frozen --all-extras --group dev --no-emit-project -o $(VENV)/requirements.txt
	@# Without the project's settings: its override would take the place of the lock's pin.
	uv pip install -q --no-config --no-deps --compile-bytecode --require-hashes -r $(VENV)/requirements.txt
	uv pip install -q --no-deps -e .
	@touch $@

INTO ?= .
demo: $(READY) ## Run a pipeline, verify its model, break it on purpose.
	@atlas try --into $(INTO)

test: $(READY) ## All tests that need Python alone; uses the real servers where they are built.
	@python tests/cluster/tools/build.py --list | python -c 'import json, sys; left = [n for n, p in json.load(sys.stdin).items() if not p]; left and print("left out, because not built (`make tools`):", ", ".join(left))'
	@echo "left out, because it takes minutes (\`make test-cluster\`): ten thousand manifests through a Rekor that is killed"
	pytest -n 2 --dist loadgroup -m "not slow" --cov --cov-report=term tests/unit tests/integration tests/architecture tests/fuzz tests/docs tests/cluster

test-cluster: tools ## Build the real servers and run everything against them.
	ATLAS_REQUIRE_SERVERS=1 pytest tests/cluster

tools: $(READY) ## Build etcd, kube-apiserver, Helm and Rekor v2 from pinned Go modules into a cache.
	@python tests/cluster/tools/build.py

lint: $(READY) ## Formatting, linting, types, architecture.
	ruff format --check .
	ruff check .
	mypy
	lint-imports

format: $(READY) ## Format and fix what can be fixed.
	ruff format .
	ruff check --fix .

fuzz: $(READY) ## Over a million mutants over every parser.
	PYTHONPATH=tests python tests/fuzz/long.py --mutants 1500000 --jobs 2

bench: $(READY) ## Speed and memory, as ratios against baselines of the same run.
	PYTHONPATH=tests python -m benchmarks

docs: $(READY) ## Write the generated pages of docs/.
	PYTHONPATH=tests python docs/generate.py

lock: $(READY) ## Resolve the dependencies anew; the lock holds versions and hashes, and no addresses.
	uv lock -q
	sed -Ei 's#\{ url = "[^"]*/([^"/]+)"#{ filename = "\1"#; s#registry = "[^"]*"#registry = "index"#' uv.lock

build: $(READY) ## Build the wheel.
	uv build -q --wheel

clean: ## Remove what the targets made here.
	rm -rf $(VENV) .coverage* .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache dist
