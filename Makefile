# The developer's commands. `make` alone lists them. Each works on a fresh clone.

BIN := .venv/bin

# Variables that are given on the command line reach the recipes' environment: PYTHON, FILE, CC.

.PHONY: help setup demo test coverage big check clean

help: ## List the targets.
	@sed -n 's/^\([a-z]*\):.*## /  make \1	/p' $(MAKEFILE_LIST)

setup: ## Build .venv from the lock files (PYTHON=... names the interpreter).
	@sh tools/setup.sh

demo: setup ## Show a small network that survives failures (FILE=... stores that file).
	@$(BIN)/p2pnode demo $${FILE:+"$$FILE"}

test: setup ## Run the tests, with a short simulation.
	$(BIN)/python -m pytest

coverage: setup ## Run the tests of the pure packages and demand every branch.
	$(BIN)/python -m pytest tests/wire tests/crypto tests/coding tests/placement tests/membership \
		tests/protocols tests/test_bft.py tests/test_config.py tests/test_errors.py --cov

big: setup ## Run the long tests and show their figures.
	$(BIN)/python -m pytest -m big -rP

check: setup ## Check without running: ruff, mypy, import-linter, tidy.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/python -m pytest -q tests/test_tidy.py

clean: ## Remove .venv and every cache.
	rm -rf .venv build dist *.egg-info .coverage htmlcov \
		.mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
