# setup · quickstart · test · check · lock. Everything lands in .venv and .cache, beside this file.
SHELL := /bin/bash
PYTHON ?= $(firstword $(foreach p,python3.11 python3.12 python3.13 python3,$(shell command -v $(p) 2>/dev/null)))
BIN := .venv/bin
CORES ?= 2
# Bytecode is written at install, so that imports are quick also where PYTHONDONTWRITEBYTECODE is set.
UV := $(BIN)/uv
export TF_USE_LEGACY_KERAS := 1
export TF_CPP_MIN_LOG_LEVEL := 2
export TF_ENABLE_ONEDNN_OPTS := 0
export B2BRECS_TFX_ENV := $(CURDIR)/.cache/tfx

.PHONY: help setup quickstart test test-fast check lock widgets labextension services tfx notebook bench bench-peers clean

help:  ## show the commands
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

# Stamps hold content hashes: nothing is fetched again, so nothing needs a network, while the files are the same.
LOCK_HASH := $(firstword $(shell sha256sum requirements.lock))
PROJECT_HASH := $(firstword $(shell sha256sum pyproject.toml))

setup:  ## make .venv from the lock
	@test -n "$(PYTHON)" || { echo "Python 3.11 to 3.13 is missing: apt-get install python3 python3-venv"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' \
		|| { echo "Python 3.11 to 3.13 is needed, $(PYTHON) is another"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@test -x $(UV) || $(BIN)/python -m pip install --quiet uv
	@test "$$(cat .venv/.lock-hash 2>/dev/null)" = $(LOCK_HASH) || { \
		echo "Installing what requirements.lock names (about 5 GB)..." && rm -f .venv/.project-hash && \
		$(UV) pip sync --quiet --python $(BIN)/python --compile-bytecode --require-hashes requirements.lock && \
		echo $(LOCK_HASH) > .venv/.lock-hash; }
	@test "$$(cat .venv/.project-hash 2>/dev/null)" = $(PROJECT_HASH) || { \
		HATCH_JUPYTER_BUILDER_SKIP_NPM=1 $(UV) pip install --quiet --offline --python $(BIN)/python --no-deps --no-build-isolation \
			--editable . && echo $(PROJECT_HASH) > .venv/.project-hash; }

widgets: b2brecs/widgets/static/.built  ## build the notebook widgets

b2brecs/widgets/static/.built: $(shell find widgets \( -name node_modules -o -name .tests -o -path widgets/lab \) -prune -o -type f -print 2>/dev/null)
	@cd widgets && npm ci --no-audit --no-fund --loglevel=error && npm run --silent build && touch ../$@ \
		|| { echo "The widgets were not built: npm or its registry is missing."; test -z "$$CI"; }

labextension: b2brecs/lab/labextension/package.json  ## build the JupyterLab extension

b2brecs/lab/labextension/package.json: $(shell find widgets/lab \( -name node_modules -o -name lib \) -prune -o -type f -print 2>/dev/null)
	@cd widgets/lab && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error && npm run --silent build && touch ../../$@ \
		|| { echo "The JupyterLab extension was not built: npm or its registry is missing."; test -z "$$CI"; }

quickstart: setup  ## load real data, train, compare, recommend
	$(BIN)/python examples/quickstart.py

notebook: setup widgets labextension  ## open the guided tour in JupyterLab
	mkdir -p .venv/share/jupyter/labextensions
	ln -sfn $(CURDIR)/b2brecs/lab/labextension .venv/share/jupyter/labextensions/b2brecs
	$(BIN)/jupyter lab notebooks/01_quickstart.ipynb

services: setup  ## install what the tests start: databases, emulators, Chromium
	tests/services/install.sh

tfx: setup  ## make the TFX environment, which is one of its own
	$(BIN)/python -m b2brecs.backends.local.tfx.environment || test -z "$$CI"

test: setup widgets labextension services tfx check  ## run everything
	test ! -d widgets/node_modules || npm --prefix widgets test --silent
	$(BIN)/python -m pytest -n $(CORES) --dist loadfile --cov --cov-report=term:skip-covered
	test ! -e b2brecs/widgets/static/.built || $(BIN)/python -m pytest -q --nbval-lax --no-header -p no:warnings notebooks

test-fast: setup  ## run what needs no server, browser or TensorFlow pipeline
	$(BIN)/python -m pytest -q -m "not browser and not tfx" --ignore tests/conformance --ignore tests/notebooks

check: setup  ## lint, types, walls
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

lock:  ## resolve the lock anew
	env -u PIP_FIND_LINKS $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-annotate --custom-compile-command "make lock" --extra all --group dev pyproject.toml -o requirements.lock

bench-peers: setup  ## install the peers that loads are timed against, in an environment of their own
	@test -x .cache/bench/bin/python || $(UV) venv --quiet --python $(BIN)/python .cache/bench
	$(UV) pip install --quiet --python .cache/bench/bin/python --compile-bytecode -r benchmarks/etl/requirements.in

bench: setup  ## time against peers
	$(BIN)/python benchmarks/import_time.py

clean:
	rm -rf .venv .cache widgets/node_modules b2brecs/widgets/static widgets/lab/node_modules widgets/lab/lib b2brecs/lab/labextension
