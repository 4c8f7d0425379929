# `make run` and `make test` do all the set-up themselves: Python 3.11 or newer and make are enough.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: run test test-long lint bench clean

run: $(READY)
	$(BIN)/asyncagg run scenarios/digits.toml

test: $(READY)
	$(BIN)/pytest -n 2 -m "not long"

test-long: $(READY)
	$(BIN)/pytest -m long --timeout 3600 -o faulthandler_timeout=3500

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(READY)
	$(BIN)/python -m benchmarks

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) runs .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .grimp_cache
