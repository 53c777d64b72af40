# Start with `make demo` or `make test`. Each creates the virtual environment that it needs,
# from CPython and make alone.

PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
# uv installs in seconds what takes pip a minute.
ifneq ($(shell command -v uv 2>/dev/null),)
INSTALL = uv pip install --python $(BIN)/python --compile-bytecode
else
INSTALL = $(BIN)/python -m pip install
UPGRADE_PIP = $(INSTALL) --quiet --upgrade "pip>=25.1"
endif

.PHONY: help demo test fast-test real-test browser-test lint lint-page clean

help:
	@echo "make demo          run an example service, and show each request's flame graph on a page"
	@echo "make test          run all tests:"
	@echo "make fast-test     all except the two below"
	@echo "make real-test     tests with real servers and a real sampler"
	@echo "make browser-test  tests of the local server's page, in Chromium if it is installed"
	@echo "make lint          run ruff and mypy"
	@echo "make lint-page     check types and style of the page's JavaScript (needs nodejs and npm)"
	@echo "make clean         remove the virtual environment and the tools' caches"
	@echo "PYTHON=python3.13 creates the environment with another Python."

$(VENV)/installed: pyproject.toml Makefile
	$(PYTHON) -m venv $(VENV)
	$(UPGRADE_PIP)
	$(INSTALL) --quiet --editable ".[local]" --group test
	touch $@

$(VENV)/linted: $(VENV)/installed
	$(INSTALL) --quiet --group lint
	touch $@

demo: $(VENV)/installed
	$(BIN)/pyroscope-otel demo $(DEMO_ARGS)

test: fast-test real-test browser-test

# With `worksteal` most modules run in one process, so their fixtures are made once.
fast-test: $(VENV)/installed
	$(BIN)/python -m pytest --numprocesses=4 --dist=worksteal \
		--ignore=tests/real --ignore=tests/browser $(PYTEST_ARGS) $(FAST_TEST_ARGS)

# Sampling needs an otherwise idle machine. Each case keeps one core busy.
real-test: $(VENV)/installed
	$(BIN)/python -m pytest --numprocesses=2 tests/real $(PYTEST_ARGS)

# A separate run: the browser driver leaves an event loop on the thread, which would break
# other tests.
browser-test: $(VENV)/installed
	$(BIN)/python -m pytest --numprocesses=3 --dist=worksteal tests/browser $(PYTEST_ARGS)

lint: $(VENV)/linted
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

# Installed outside the sources: the page is shipped without a build step.
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
