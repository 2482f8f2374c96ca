# `make demo` and `make test` are all that a newcomer needs: each makes its own private environment.
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PYTHON ?= python3
SHELL := /bin/bash

.PHONY: help demo test check bench chaos soak schemas format lock clean

help:
	@echo "make demo    a story on the simulated plant, under a minute"
	@echo "make test    all tests"
	@echo "make check   style, types, import rules, layout"
	@echo "make bench   the figures, as a table and as bench.json"
	@echo "make chaos   kill everything at random; CHAOS_MINUTES of it for a whole site, 30 by default"
	@echo "make soak    a million random steps against the reference model (STEPS=, SEED=)"
	@echo "make schemas write schemas/ anew from the code"

# uv installs in seconds; where it cannot be had, pip does the same more slowly.
$(STAMP): requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "error: $(PYTHON) is older than 3.11: set PYTHON=python3.11 or newer"; exit 1; }
	@test -x $(BIN)/python || { echo "Making the virtual environment in $(VENV)…"; $(PYTHON) -m venv $(VENV); }
	@echo "Installing pinned dependencies…"
	@$(BIN)/python -m pip install -q --disable-pip-version-check uv >/dev/null 2>&1 || true
	@if test -x $(BIN)/uv; then \
		VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install -q --require-hashes -r requirements.txt && \
		VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install -q --no-deps --no-build-isolation -e . ; \
	else \
		$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements.txt && \
		$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e . ; \
	fi
	@touch $(STAMP)

demo: $(STAMP)
	@$(BIN)/plantops demo

test: $(STAMP)
	@$(BIN)/python -m pytest -n 2 --dist loadfile $(ARGS)

check: $(STAMP)
	@$(BIN)/ruff format --check services shared tests
	@$(BIN)/ruff check services shared tests
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python -m pytest -q tests/layout

bench: $(STAMP)
	@$(BIN)/python -m plantops.bench --json bench.json $(ARGS)

chaos: $(STAMP)
	@$(BIN)/python -m pytest -m chaos -p no:xdist $(ARGS)

soak: $(STAMP)
	@cd tests && ../$(BIN)/python -m soak

schemas: $(STAMP)
	@$(BIN)/python -m plantops.schemas $(ARGS)

format: $(STAMP)
	@$(BIN)/ruff format services shared tests
	@$(BIN)/ruff check --fix services shared tests

# The locks name versions and hashes, and no index. All of them agree: the others are parts of the first.
COMPILE := $(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header
lock: $(STAMP)
	@$(COMPILE) --group dev pyproject.toml -o requirements.txt
	@$(COMPILE) --constraint requirements.txt pyproject.toml -o requirements-run.txt
	@$(COMPILE) --constraint requirements.txt --group build -o requirements-build.txt

clean:
	rm -rf build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
