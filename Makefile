# Two commands do everything on a machine with Python 3.11, 3.12 or 3.13 and make:
#   make quickstart    set up, fetch real weights and data, fine-tune, export, answer raw sentences
#   make test          set up, lint, check types, run the tests
PYTHON ?= python3
MINOR := $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)
VENV ?= .venv
LOCK := locks/python$(MINOR).txt
PIP := $(VENV)/bin/python -m pip --disable-pip-version-check install -q -c $(LOCK)

.PHONY: quickstart test lint types pytest test-slow test-transformers benchmark dist locks clean supported

quickstart: $(VENV)/.base
	$(VENV)/bin/kbz quickstart

test: lint types pytest

lint: $(VENV)/.test
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .

types: $(VENV)/.test
	$(VENV)/bin/mypy

pytest: $(VENV)/.test
	$(VENV)/bin/pytest -q -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder $(ARGS)

# What takes long and is shown in short by other tests.
test-slow: $(VENV)/.test
	$(VENV)/bin/pytest -q -m slow --timeout 3600 $(ARGS) tests

# Opt-in proof: the real transformers, on PyTorch, reads what we wrote and writes what we read.
TORCH ?= torch
test-transformers: $(VENV)/.test
	$(PIP) $(TORCH) transformers
	$(VENV)/bin/pytest -q -m transformers --timeout 3600 tests

# Beside every peer there is, in one run; benchmarks/README.md.
benchmark: $(VENV)/.base
	$(PIP) -e '.[peers,garden]'
	$(VENV)/bin/kbz benchmark $(ARGS)

dist: $(VENV)/.test
	rm -rf dist
	$(VENV)/bin/python -m build --outdir dist .

# Exact versions for every supported Python, the extras included.
locks: $(VENV)/.base
	$(VENV)/bin/python -m pip install -q uv
	for minor in 3.11 3.12 3.13; do \
	  $(VENV)/bin/uv pip compile -q setup.cfg --all-extras --python-version $$minor --python-platform x86_64-manylinux_2_28 \
	    --no-annotate --no-header --no-emit-package keras-bert-zoo -c locks/limits.txt --upgrade -o locks/python$$minor.txt || exit 1; \
	done

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache

supported:
	@test -f "$(LOCK)" || { echo "keras-bert-zoo needs Python 3.11, 3.12 or 3.13, but $(PYTHON) is '$(MINOR)'. Name another: make PYTHON=python3.12 ..." >&2; exit 1; }

$(VENV)/.made: | supported
	$(PYTHON) -m venv $(VENV)
	# Debian 12's own pip builds seqeval, which is published as source alone, in a way that fails.
	$(VENV)/bin/python -m pip --disable-pip-version-check install -q --upgrade pip
	touch $@

$(VENV)/.base: $(VENV)/.made setup.cfg $(wildcard $(LOCK))
	$(PIP) -e .
	touch $@

$(VENV)/.test: $(VENV)/.base
	$(PIP) -e '.[dev]'
	$(VENV)/bin/kbz presets fetch minilm_l6_h384_uncased
	touch $@
