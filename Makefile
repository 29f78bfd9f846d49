# Two commands do everything on a fresh machine with Python 3.11 or newer:
#   make lab    environment, installation, the main job; prints the path of its report
#   make test   environment, installation, all tests
PYTHON ?= python3
BIN := .venv/bin
SOURCES := setup.py lab/__init__.py
# pip compiles packages on one core. All cores do it afterwards; a file that cannot be compiled is no reason to stop.
INSTALL := $(BIN)/python -m pip install --quiet --no-compile
COMPILE := -$(BIN)/python -m compileall -qq -j 0 .venv/lib

.PHONY: lab test bench lint docs notebooks gallery clean
.DELETE_ON_ERROR:
# Two targets at once would install into one environment.
.NOTPARALLEL:

lab: .venv/installed
	$(BIN)/lab run first-look

test: .venv/tested
	$(BIN)/ruff check .
	$(BIN)/python -m pytest -n 2 --dist loadfile

bench: .venv/benched
	$(BIN)/python -m tests.bench

docs: .venv/tested
	$(BIN)/mkdocs build --strict

# Runs the tutorials again, in place.
notebooks: .venv/tested
	$(BIN)/python -m docs.notebooks

# Draws one map by every method, and writes their page.
gallery: .venv/tested
	$(BIN)/python -m docs.gallery

lint: .venv/tested
	$(BIN)/ruff check .

.venv/python:
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "The lab needs Python 3.11 or newer. Received: " + sys.version.split()[0] + ". Name one with: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip setuptools wheel
	touch $@

.venv/installed: .venv/python $(SOURCES)
	$(INSTALL) -e .
	$(COMPILE)
	touch $@

.venv/tested: .venv/python $(SOURCES)
	$(INSTALL) -e '.[test]'
	$(COMPILE)
	touch .venv/installed $@

.venv/benched: .venv/python $(SOURCES)
	$(INSTALL) -e '.[bench]'
	$(COMPILE)
	touch .venv/installed $@

clean:
	rm -rf .venv build *.egg-info
