# `make demo` and `make test` are all there is to know. Each makes the virtual
# environment it needs, with nothing but CPython and make on the machine.

PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin

.PHONY: help demo test lint clean

help:
	@echo "make demo   a service, requests, and what each request spent its CPU time on"
	@echo "make test   the tests"
	@echo "make lint   ruff and mypy"
	@echo "make clean  remove the virtual environment and what tools left behind"
	@echo "PYTHON=python3.13 makes the environment with another Python."

# Rebuilt when what it is made from changes.
$(VENV)/installed: pyproject.toml Makefile
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet --editable . --group test
	touch $@

$(VENV)/linted: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --group lint
	touch $@

demo: $(VENV)/installed
	$(BIN)/python -m example_apps.demo

test: $(VENV)/installed
	$(BIN)/python -m pytest $(PYTEST_ARGS)

lint: $(VENV)/linted
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

clean:
	rm -rf $(VENV) .cache .mypy_cache .pytest_cache .ruff_cache build dist
