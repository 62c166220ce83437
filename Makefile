# What a person does here. Everything installs into .venv; nothing else on the machine is touched.

PYTHON ?= python3
BIN := .venv/bin

.PHONY: run install test e2e check bench format clean

run: .venv/installed
	$(BIN)/streamlit run app.py

install: .venv/dev

# First what wants the machine for itself; the rest, engines among them, in two processes.
test: .venv/dev
	$(BIN)/python -m pytest -m alone tests
	$(BIN)/python -m pytest -m "not alone and not e2e" tests --numprocesses 2 --dist loadfile

e2e: .venv/dev
	$(BIN)/python -m pytest -m e2e tests/e2e --numprocesses 2 --dist loadfile

check: .venv/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: .venv/dev
	$(BIN)/python -m benchmarks.throughput --model resnet-50-untrained
	$(BIN)/python -m benchmarks.throughput --model digits
	$(BIN)/python -m benchmarks.first_prediction

format: .venv/dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf .venv build *.egg-info

# torch first and by itself: pip then takes the build that fits this machine before anything asks for a range.
.venv/installed: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet torch==2.13.0
	$(BIN)/pip install --quiet --editable .
	touch $@

.venv/dev: .venv/installed
	$(BIN)/pip install --quiet --editable ".[dev]"
	touch $@
