# make demo   install into .venv and run the example company's tickets
# make test   install into .venv and run every check that CI runs
# make lock   resolve requirements.lock again (needs the network and uv)

PYTHON ?= python3
BIN := .venv/bin
DEMO_ARGS ?=

.PHONY: demo test lint types layers unit lock format clean

demo: .venv/installed
	@$(BIN)/deskhand demo $(DEMO_ARGS)

test: lint types layers unit

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/installed
	$(BIN)/mypy

layers: .venv/installed
	$(BIN)/lint-imports --no-cache

unit: .venv/installed
	$(BIN)/python -m pytest -q -n auto --dist loadfile --cov --cov-report=term

format: .venv/installed
	$(BIN)/ruff check --fix-only -q .
	$(BIN)/ruff format .

.venv/locked: requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || \
	  { echo "deskhand needs Python 3.11, 3.12 or 3.13; name one with 'make PYTHON=python3.12'" >&2; exit 2; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || \
	  { echo "this Python has no venv; on Debian and Ubuntu: apt-get install python3-venv" >&2; exit 2; }
	@echo "installing the locked dependencies into .venv (once, two or three minutes)" >&2
	@$(PYTHON) -m venv --clear .venv
	@$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	@touch $@

.venv/installed: .venv/locked pyproject.toml
	@$(BIN)/python -m pip install -q --disable-pip-version-check --no-build-isolation --no-deps -e .
	@touch $@

lock:
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url \
	  --no-emit-find-links --group dev --all-extras pyproject.toml -o requirements.lock

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .coverage
