# The developer's commands. `make` alone lists them. Each works on a fresh clone.

BIN := .venv/bin

# Variables that are given on the command line reach the recipes' environment: PYTHON, FILE, CC.

.PHONY: help setup demo test mutants deleted-lines test-deep big-sim coverage big interop bench-coding bench-commitments bench-network bench-placement bench-proofs bench-repair bench-scale sanitize check clean

help: ## List the targets.
	@sed -n 's/^\([a-z-]*\):.*## /  make \1	/p' $(MAKEFILE_LIST)

setup: ## Build .venv from the lock files (PYTHON=... names the interpreter).
	@sh tools/setup.sh

demo: setup ## Show a small network that survives failures (FILE=... stores that file).
	@$(BIN)/p2pnode demo $${FILE:+"$$FILE"}

test: setup ## Run the tests, with a short simulation.
	$(BIN)/python -m pytest

test-deep: setup ## Simulate, plant bugs, crash disks and fuzz at full volume, for about half an hour (SEED=...).
	@$(BIN)/python -m testnet.deep $${SEED:+--seed "$$SEED"}

big-sim: setup ## Simulate a hundred nodes of which thirty leave in an hour, and a thousand that lose a third (SEED=...).
	@$(BIN)/python -m testnet sim --scenario a-third-of-a-hundred-leaves-in-an-hour --seed $${SEED:-0}
	@$(BIN)/python -m testnet sim --scenario a-thousand-nodes --seed $${SEED:-0}

coverage: setup ## Run the tests of the pure packages and demand every branch.
	$(BIN)/python -m pytest tests/wire tests/crypto tests/coding tests/placement tests/membership \
		tests/protocols tests/reputation tests/test_wording.py tests/test_bft.py tests/test_config.py tests/test_errors.py --cov

big: setup ## Run the long tests and show their figures.
	$(BIN)/python -m pytest -m big -rP

interop: setup ## Run our network layer against a js-libp2p peer (needs Node 20 or later, and npm).
	@sh tests/interop/install.sh
	$(BIN)/python -m pytest -m interop -s --maxfail=3 tests/interop

bench-coding: setup ## Measure our erasure coding against the public encoders (needs Node 20 or later, and npm).
	$(BIN)/python -m benchmarks.coding --plot docs/performance-coding.svg --page docs/performance.md

bench-network: setup ## Measure the network layer against its gates (about a quarter of an hour).
	@$(BIN)/python -m benchmarks.network

bench-scale: setup ## Measure what nodes keep and send among up to 10,000, and large stores (three quarters of an hour).
	@$(BIN)/python -m benchmarks.scale --plot-traffic docs/scaling-traffic.svg --plot-store docs/scaling-store.svg

bench-repair: setup ## Measure what repair moves for each byte lost, beside Tahoe-LAFS (a quarter of an hour; it installs that below build).
	@$(BIN)/python -m benchmarks.repair

bench-commitments: setup ## Measure what an epoch's commitment costs a node with a million pairs (some minutes).
	@$(BIN)/python -m benchmarks.commitments

bench-proofs: setup ## Measure what an audit of twenty slivers costs who asks (some seconds).
	@$(BIN)/python -m benchmarks.proofs

bench-placement: setup ## Measure what placement moves and costs, and draw the plot (about a minute).
	$(BIN)/python -m benchmarks.placement --plot docs/scaling-placement.svg

sanitize: setup ## Run the compiled kernel's tests under ASan and UBSan (needs gcc or clang).
	@sh tools/sanitize.sh

mutants: setup ## Plant bugs in the node's code; each must be found, by which scenario, seed and judge is printed.
	@$(BIN)/python -m testnet.sim.mutants

deleted-lines: setup ## Delete each line of services/put.py (FILE=... names another); each must fail a test.
	@$(BIN)/python -m testnet.sim.mutants.lines $${FILE:-p2pnode/services/put.py}

check: setup ## Check without running: ruff, mypy, import-linter, tidy.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/python -m pytest -q tests/test_tidy.py

clean: ## Remove .venv and every cache.
	rm -rf .venv build dist *.egg-info p2pnode/coding/_kernel.so .coverage htmlcov \
		.mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
