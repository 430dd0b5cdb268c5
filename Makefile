# Everything starts from here: `make demo`, `make test`, `make check`. `make` alone lists the rest.
.DEFAULT_GOAL := help
.PHONY: help env fetch demo test check format lock clean
MAKEFLAGS += --no-print-directory

VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv
# Another interpreter: make PYTHON=/path/to/python3.11
PYTHON ?= $(shell command -v python3.11 || command -v python3 || echo python3)

# The environment is made anew when one of these changes.
DESCRIPTION := requirements/bootstrap.txt requirements/dev.txt pyproject.toml
STAMP := $(VENV)/.made-from-$(shell cat $(DESCRIPTION) | sha256sum | cut -c1-16)

help: ## list the targets
	@grep -hE '^[a-z]+:.*## ' Makefile | awk -F ':.*## ' '{ printf "make %-7s %s\n", $$1, $$2 }'

env: $(STAMP) ## make the locked Python environment in .venv

$(STAMP):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "Headrace needs Python 3.11 or newer and $(PYTHON) is not: install python3.11 (with its venv module), or run make PYTHON=/path/to/python3.11." >&2; exit 1; }
	@test $$(df -Pk . | awk 'NR == 2 { print $$4 }') -gt 2097152 || { \
	  echo "Less than 2 GB are free on this disk, and the Python environment wants them: free some room and run make again." >&2; exit 1; }
	@echo "Making the Python environment .venv ($$($(PYTHON) --version), every package checked against its hash) ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { \
	  rm -rf $(VENV); echo "$(PYTHON) cannot make a virtual environment: install its venv module (Debian and Ubuntu: apt install python3-venv)." >&2; exit 1; }
	@$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements/bootstrap.txt \
	  && $(UV) pip sync -q --python $(BIN)/python --require-hashes requirements/bootstrap.txt requirements/dev.txt \
	  && $(UV) pip install -q --python $(BIN)/python --no-deps --no-build-isolation -e . || { \
	  echo "The Python packages could not be installed (the reason stands above): check the network and the package index, then run make again." >&2; exit 1; }
	@rm -f $(VENV)/.made-from-* && touch $@

fetch: env ## fetch Kafka's jars and Triton's environment
	@$(BIN)/python -m deploy.stack

demo: env ## from nothing to a report of a live stream; DATA=FILE takes real data
	@$(BIN)/headrace demo $(if $(DATA),--data $(DATA))

SUITES := $(wildcard tests/unit tests/contracts tests/architecture tests/integration tests/system)

test: fetch ## unit, contract, integration and system tests
	@echo "Running $(SUITES), in this order."
	@echo "The tests start the servers they need (Kafka, Valkey, Triton) on free loopback ports, and stop them."
	@$(BIN)/pytest --timeout=300 --durations=5 $(SUITES)

check: env ## style, types and the import contracts
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: env ## put the sources into their format
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

COMPILE := $(UV) pip compile -q --generate-hashes --no-emit-index-url --no-emit-find-links \
  --python-version 3.11 --custom-compile-command "make lock" $(if $(UPGRADE),--upgrade)

lock: env ## resolve requirements/*.txt again; UPGRADE=1 takes newer versions
	@$(COMPILE) requirements/bootstrap.in -o requirements/bootstrap.txt
	@$(COMPILE) pyproject.toml -o requirements/runtime.txt
	@$(COMPILE) requirements/dev.in -o requirements/dev.txt
	@$(COMPILE) requirements/triton.in -o requirements/triton.txt

clean: ## stop the local servers; remove .headrace, .venv and caches
	@test ! -x $(BIN)/headrace || $(BIN)/headrace down
	@rm -rf .headrace $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build *.egg-info
