# make run   the lifecycle: 100,000 generated descriptions, from data to a deployment on this machine
# make test  formatting, types, arrows between the rooms, secrets, and the tests; of long tables a part drawn by the date
# make nightly  all tests and what takes too long for each change: whole tables, and this lifecycle on Azure ML, on loopback
# make lab   JupyterLab with everything in it (.venv-lab, from the pins of environment.yml)
# make node  what the tests need to score the exported file from JavaScript; without npm, they are skipped
# make azurite  what the tests need to store in blob storage: Microsoft's Azurite; without npm, they are skipped
# make jax   what make nightly needs to train under JAX, too
# make azureml-v1  what the engine azureml-v1 needs, in an environment of its own; without it, its tests are skipped
# make inference-server  what the tests need to run Azure ML's inference server and Triton's client; without it, they are skipped
# make lock  compile the locks and environment.yml again (UPGRADE=1 takes newer versions)
#
# ARGS are passed on: make run ARGS="--params params/ci.yaml"; make test ARGS="-k gates -x"
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
export JUPYTER_PLATFORM_DIRS := 1
# Bytecode is compiled at install and kept: importing TensorFlow takes a third of the time.
unexport PYTHONDONTWRITEBYTECODE
unexport VIRTUAL_ENV
# Decides which rows the tests draw today: one date for all workers, also at midnight.
ifndef TREY_SEED
export TREY_SEED := $(shell date -u +%Y%m%d)
endif

.PHONY: help run test nightly lint lab node azurite jax azureml-v1 inference-server lock secrets benchmark
help:
	@sed -n 's/^# make/make/p' Makefile

run: .venv/ready
	@$(BIN)/trey run $(ARGS)

# Three at a time, since they wait more than a core works; a file's tests share what it sets up. WORKERS=0 for a debugger.
WORKERS ?= 3
PYTEST = $(BIN)/pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder
test: .venv/ready lint
	$(PYTEST) $(ARGS)

nightly: .venv/ready lint node azurite jax inference-server azureml-v1
	TREY_WHOLE=1 TREY_REQUIRE_NODE=1 TREY_REQUIRE_AZURITE=1 TREY_REQUIRE_JAX=1 TREY_REQUIRE_INFERENCE_SERVER=1 \
	  TREY_REQUIRE_AZUREML_V1=1 $(PYTEST) -m "nightly or not nightly" $(ARGS)

lint: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/nbstripout --verify --keep-id --keep-count notebooks/*.ipynb examples/notebooks/*.ipynb
	@$(MAKE) --no-print-directory secrets

secrets: .venv/ready
	git ls-files -z | xargs -0 $(BIN)/detect-secrets-hook --baseline .secrets.baseline

lab: .venv-lab/ready
	.venv-lab/bin/jupyter lab notebooks

node: tests/node/node_modules/ready

azurite: tests/azurite/node_modules/ready

jax: .venv/jax

azureml-v1: .venv-azureml-v1/ready

inference-server: .venv-inference-server/ready

lock: .venv/ready
	$(BIN)/python requirements/lock.py $(if $(UPGRADE),--upgrade)

benchmark: .venv/ready
	$(BIN)/python -m benchmarks.lifecycle $(ARGS)

# install(lock, environment folder, options of uv): create the environment once, then bring it to the lock
define install
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(None if (3, 11) <= v < (3, 14) else f"Python {v[0]}.{v[1]} arrived; 3.11, 3.12 or 3.13 is needed. Try: make run PYTHON=python3.12")'
	@echo "setting up $(2) from $(1) (about a minute, longer where nothing is cached)"
	@test -x $(2)/bin/python && $(2)/bin/python -c "" 2>/dev/null || $(PYTHON) -m venv --clear $(2)
	@$(2)/bin/python -m uv --version >/dev/null 2>&1 || $(2)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.txt
	@$(2)/bin/python -m uv pip sync --quiet --python $(2)/bin/python --require-hashes $(3) $(1)
	@$(2)/bin/python -m uv pip install --quiet --python $(2)/bin/python --no-deps --no-build-isolation --editable .
	@touch $@
	@echo "$(2) is ready"
endef

.venv/ready: requirements/dev.txt pyproject.toml
	$(call install,requirements/dev.txt,.venv,--compile-bytecode)

.venv-lab/ready: requirements/environment.txt pyproject.toml
	$(call install,requirements/environment.txt,.venv-lab,--compile-bytecode)

.venv/jax: .venv/ready requirements/jax.txt
	$(BIN)/python -m uv pip install --quiet --python $(BIN)/python --require-hashes --compile-bytecode -r requirements/jax.txt
	@touch $@

# Little of it is imported: no bytecode beforehand.
.venv-azureml-v1/ready: requirements/azureml-v1.txt pyproject.toml
	$(call install,requirements/azureml-v1.txt,.venv-azureml-v1)

tests/node/node_modules/ready: tests/node/package-lock.json tests/node/.npmrc
	cd tests/node && npm ci --loglevel=error
	@touch $@

tests/azurite/node_modules/ready: tests/azurite/package-lock.json tests/azurite/.npmrc
	cd tests/azurite && npm ci --loglevel=error
	@touch $@

.venv-inference-server/ready: requirements/inference-server.txt .venv/ready
	@echo "setting up .venv-inference-server from requirements/inference-server.txt"
	@test -x .venv-inference-server/bin/python || $(PYTHON) -m venv --clear .venv-inference-server
	@$(BIN)/python -m uv pip sync --quiet --python .venv-inference-server/bin/python --require-hashes requirements/inference-server.txt
	@touch $@
