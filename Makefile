# Everything a user types. Nothing but Python 3.11+ and make is needed; the first target that runs makes .venv.
SHELL := /bin/sh
.SHELLFLAGS := -eu -c
.DEFAULT_GOAL := help

PYTHON ?= python3
UV := 0.13.9
CDRS ?= 200000
CUSTOMERS ?= 5000
MONTH ?=
ENGINE ?= sail
PORT ?= 3000
WORKERS ?= 2
SEED ?= 1
ROUNDS ?= 240
STEPS ?= 2000
export ENGINE

# A worker, and each process of a test, would compile all tests and the project anew: five seconds each.
unexport PYTHONDONTWRITEBYTECODE

# Relative on purpose: the path of the checkout may hold spaces.
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: help demo check unit test faults model bench dev lint format clean

help: ## What can be typed
	@grep -E '^[a-z]+:.*##' Makefile | sed 's/:.*##/	/'

demo: $(READY) ## A month from Kafka to bills and a dashboard: CDRS=, CUSTOMERS=, MONTH=, ENGINE=
	@exec $(BIN)/telecom demo --cdrs $(CDRS) --customers $(CUSTOMERS) $(if $(MONTH),--month $(MONTH))

check: $(READY) ## Before each commit: lint, and beside it the tests of `unit`; WORKERS=
	@$(MAKE) --no-print-directory -j 2 lint unit

unit: $(READY) ## The tests that need no server and start no process of the whole project, with few examples: WORKERS=
	@exec $(BIN)/python -m pytest -q -n $(WORKERS) -m "not servers and not processes and not thorough" --hypothesis-profile=check

test: $(READY) ## The whole test suite, on both engines, with a real Kafka and PostgreSQL: WORKERS=
	@exec $(BIN)/python -m pytest -n $(WORKERS)

faults: $(READY) ## Random kills, stops and double runs over two homes on one warehouse; nothing lost or doubled: SEED=, ROUNDS=
	@exec env FAULTS_SEED=$(SEED) FAULTS_ROUNDS=$(ROUNDS) $(BIN)/python -m pytest -q -n 0 -o faulthandler_timeout=0 telecom_assets_tests/faults/test_random_faults.py

model: $(READY) ## Random steps on months that close: late and wrong records, corrections, closes, beside a model in memory: STEPS=
	@exec env MODEL_STEPS=$(STEPS) $(BIN)/python -m pytest -q -n 0 -o faulthandler_timeout=0 telecom_assets_tests/closed_periods/test_machine.py -k "not spark"

# CDRS and CUSTOMERS have defaults for the demo; the bench has its own.
bench: $(READY) ## How fast it is, beside DuckDB and the raw limits: CDRS=, CUSTOMERS=, ENGINE=, CASES=, NAME=, REPEATS=
	@exec $(BIN)/python -m bench $(if $(filter-out file,$(origin CDRS)),--cdrs $(CDRS)) \
		$(if $(filter-out file,$(origin CUSTOMERS)),--customers $(CUSTOMERS)) $(if $(MONTH),--month $(MONTH)) \
		$(if $(CASES),--cases $(CASES)) $(if $(NAME),--name '$(NAME)') $(if $(REPEATS),--repeats $(REPEATS))

dev: $(READY) ## The local stack and the lineage UI on 127.0.0.1; Ctrl-C ends the UI, `telecom down` the stack: PORT=, TELECOM_HOME=
	@$(BIN)/telecom up
	@exec $(BIN)/telecom dev --port $(PORT)

lint: $(READY) ## ruff, mypy, import-linter, and the code location without any server
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python -c "import dagster; from telecom_assets.definitions import defs; dagster.Definitions.validate_loadable(defs)"

format: $(READY) ## Format the code
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

clean: ## Stop the local stack; remove .venv and all data of .telecom
	@if [ -x $(BIN)/telecom ]; then $(BIN)/telecom --home .telecom down; $(BIN)/telecom --home .telecom/demo down; fi
	@rm -rf .venv .telecom .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info build

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed, this is " + sys.version.split()[0] + "; set PYTHON=")'
	@echo "Installing pinned dependencies into .venv (once)"
	@$(PYTHON) -m venv --clear $(VENV) || { echo "python3 -m venv failed: install the venv module of your Python (Debian: python3-venv)" >&2; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV)
	@$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --require-hashes --requirement requirements.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --editable '.[local]'
	@touch $(READY)
