# `make demo` and `make test` are all there is to know. Each makes the virtual
# environment it needs, with nothing but CPython and make on the machine.

PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin

.PHONY: help demo test fast-test real-test browser-test lint lint-page clean

help:
	@echo "make demo          a service, requests, and the flame graph of each on a page of its own"
	@echo "make test          the tests, which are:"
	@echo "make fast-test     all but those below"
	@echo "make real-test     real servers, a real sampler"
	@echo "make browser-test  the local server's page, in Chromium if there is one"
	@echo "make lint          ruff and mypy"
	@echo "make lint-page     the types and the style of the page's JavaScript (needs nodejs and npm)"
	@echo "make clean         remove the virtual environment and what tools left behind"
	@echo "PYTHON=python3.13 makes the environment with another Python."

# Rebuilt when what it is made from changes.
$(VENV)/installed: pyproject.toml Makefile
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet --editable ".[local]" --group test
	touch $@

$(VENV)/linted: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --group lint
	touch $@

demo: $(VENV)/installed
	$(BIN)/pyroscope-otel demo $(DEMO_ARGS)

test: fast-test real-test browser-test

fast-test: $(VENV)/installed
	$(BIN)/python -m pytest --numprocesses=2 \
		--ignore=tests/real --ignore=tests/browser $(PYTEST_ARGS)

# A sampler wants the machine for itself.
real-test: $(VENV)/installed
	$(BIN)/python -m pytest tests/real $(PYTEST_ARGS)

# What drives the browser leaves an event loop on the thread, which no other test may meet.
browser-test: $(VENV)/installed
	$(BIN)/python -m pytest tests/browser $(PYTEST_ARGS)

lint: $(VENV)/linted
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

# Beside the sources, not in them: the page is shipped as it is, and nothing is built.
PAGE_TOOLS = .cache/page
$(PAGE_TOOLS)/installed: .ci/page/package.json
	@command -v npm >/dev/null || { echo "lint-page needs Node.js and npm; on Debian: apt-get install nodejs npm"; exit 1; }
	mkdir -p $(PAGE_TOOLS)
	cp .ci/page/package.json $(PAGE_TOOLS)/
	npm install --prefix $(PAGE_TOOLS) --silent --no-audit --no-fund --no-package-lock
	touch $@

lint-page: $(PAGE_TOOLS)/installed
	$(PAGE_TOOLS)/node_modules/.bin/tsc --project .ci/page/tsconfig.json
	$(PAGE_TOOLS)/node_modules/.bin/biome lint --error-on-warnings \
		--config-path=.ci/page/biome.json pyroscope_otel/tools/serve/page/*.js

clean:
	rm -rf $(VENV) .cache .mypy_cache .pytest_cache .ruff_cache build dist
