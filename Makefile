# Every target sets itself up from a bare Python >= 3.11: `make demo`, then `make test`, nothing else.
# PYTHON=python3.12 make demo    picks the interpreter; WORKERS=4 make test    the number of test processes.

SHELL := /bin/sh
VENV := .venv
BIN := $(VENV)/bin
TENSORFLOW := .venv-tensorflow
STAMP := $(VENV)/.installed
CANDIDATES := $(PYTHON) python3 python3.13 python3.12 python3.11 python
WORKERS ?= auto
TEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --maxprocesses 4 --dist loadfile

.DEFAULT_GOAL := help
.PHONY: help install demo test test-slow test-tensorflow check format bench

help:  ## this list
	@sed -n 's/^\([a-z-]*\):.*  ## /\1 /p' $(MAKEFILE_LIST) | awk '{ name = $$1; $$1 = ""; printf "make %-16s%s\n", name, $$0 }'

$(STAMP): pyproject.toml constraints.txt
	@if ! $(BIN)/python -m pip --version >/dev/null 2>&1; then \
		found=; \
		for candidate in $(CANDIDATES); do \
			if "$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then \
				found=$$candidate; break; \
			fi; \
		done; \
		if [ -z "$$found" ]; then \
			echo "lrsearch needs Python 3.11 or newer; tried: $(strip $(CANDIDATES)). Name yours: PYTHON=/path/to/python make" >&2; \
			exit 1; \
		fi; \
		"$$found" -m venv $(VENV) || { echo "On Debian: apt-get install python3-venv" >&2; exit 1; }; \
	fi
	@$(BIN)/python -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "$(VENV) holds a Python older than 3.11: move it away and try again" >&2; exit 1; }
	@echo "Installing into $(VENV), a few minutes: 2.2 GB on disk; with PyTorch's CUDA build, which pip picks on Linux unless"
	@echo "told otherwise, about 6 GB, of which it downloads half."
	@$(BIN)/python -m pip install --quiet --quiet --disable-pip-version-check -c constraints.txt -e '.[all]'
	@touch $@

install: $(STAMP)  ## the environment in .venv, with everything

demo: $(STAMP)  ## the whole path on real data in under 3 minutes
	@$(BIN)/lrsearch demo

test: $(STAMP)  ## the fast tests
	@$(TEST)

test-slow: $(STAMP)  ## every test in its long form: more seeds, more random moments, full data where it is there
	@HYPOTHESIS_PROFILE=thorough $(TEST) -m ""

$(TENSORFLOW)/.installed: $(STAMP)
	@echo "Installing TensorFlow into $(TENSORFLOW), a few minutes: 2.2 GB on disk."
	@$(BIN)/python -m venv $(TENSORFLOW)
	@$(TENSORFLOW)/bin/python -m pip install --quiet --quiet --disable-pip-version-check -c constraints.txt \
		-e '.[service]' tensorflow hypothesis psutil pytest pytest-timeout
	@touch $@

test-tensorflow: $(TENSORFLOW)/.installed  ## Keras's tests on TensorFlow, in an environment of its own
	@KERAS_BACKEND=tensorflow TF_CPP_MIN_LOG_LEVEL=3 OMP_NUM_THREADS=1 $(TENSORFLOW)/bin/python -m pytest \
		tests/callbacks/test_keras.py tests/exports/test_keras.py

check: $(STAMP)  ## format, lint, types, imports, compose files, house rules
	@$(BIN)/ruff format --check --quiet . || { echo "Some files are not formatted: make format" >&2; exit 1; }
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec docker-compose.yml docker-compose.gpu.yml
	@$(BIN)/python .ci/house.py

format: $(STAMP)  ## format and fix what can be fixed
	@$(BIN)/ruff format --quiet .
	@$(BIN)/ruff check --fix --quiet .

bench: $(STAMP)  ## measure the service and a whole search; results are appended to benchmarks/results/
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[bench]'
	@$(BIN)/python benchmarks/service_path.py
	@$(BIN)/python benchmarks/service_load.py
	@$(BIN)/python benchmarks/long_study.py
	@$(BIN)/python benchmarks/search_cost.py
