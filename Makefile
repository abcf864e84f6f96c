# Two targets a stranger needs: `make demo` and `make test`. Each sets up its own environment.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Tests of one file, and all that walk the demo, share a process: see tests/conftest.py. There is a
# process more than there are cores, as some wait for a server, or for a voice to end.
CORES := $(shell getconf _NPROCESSORS_ONLN)
WORKERS := --numprocesses $(shell expr $(CORES) + 1) --maxprocesses 4 --dist loadgroup --no-loadscope-reorder
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: demo test test-fast check format docs bench screenshots clean browser

demo: $(VENV)/installed          ## the main job on the bundled sample; a second run redoes nothing
	$(BIN)/pixmo demo pixmo-demo

test: $(VENV)/installed-dev .label-studio/installed .object-stores/installed browser  ## all tests and checks
	$(MAKE) --no-print-directory check
	$(BIN)/python -m pytest $(WORKERS)

browser:                         ## Chromium, for the tests of pages; installed by root only
	@if ! command -v chromium >/dev/null && ! command -v google-chrome >/dev/null; then \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    echo "Installing Chromium …"; \
	    apt-get update -qq && apt-get install -y -qq chromium >/dev/null; \
	  else \
	    echo "LEFT OUT: the tests of pages, for want of Chromium: as root, make test installs it"; \
	  fi; \
	fi

.label-studio/installed: tests/label-studio.txt
	@echo "Installing Label Studio for its tests, into .label-studio; once, some minutes …"
	$(PYTHON) -m venv --clear .label-studio
	.label-studio/bin/python -m pip install --quiet --requirement tests/label-studio.txt
	touch $@

.object-stores/installed: tests/object-stores.txt
	@echo "Installing an S3 server and a client for the tests, into .object-stores; once …"
	$(PYTHON) -m venv --clear .object-stores
	.object-stores/bin/python -m pip install --quiet --requirement tests/object-stores.txt
	touch $@

test-fast: $(VENV)/installed-dev ## the tests that take seconds
	$(BIN)/python -m pytest $(WORKERS) -m "not slow"

check: $(VENV)/installed-dev     ## ruff, strict types, import contracts
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/installed-dev
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

docs: $(VENV)/installed-dev      ## docs/cli.md and docs/columns.md from the code and the schemas
	$(BIN)/python -m pixmo.cli.reference

bench: $(VENV)/installed-dev .label-studio/installed .object-stores/installed  ## benchmarks, by hand: docs/benchmarks.json and .md
	$(BIN)/python -m tests.benchmarks

screenshots: $(VENV)/installed-dev .label-studio/installed browser  ## the pictures in docs/, by hand
	$(BIN)/python -m tests.screenshots

clean:
	rm -rf $(VENV) .label-studio .object-stores pixmo-demo dist

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("pixmo needs Python 3.11, 3.12 or 3.13: make PYTHON=python3.12" if not (3, 11) <= sys.version_info < (3, 14) else 0)'
	@echo "Installing pixmo and what it needs into $(VENV); once, a minute or two …"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable .
	touch $@

$(VENV)/installed-dev: $(VENV)/installed
	@echo "Installing what the tests need …"
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@
