# The verbs of this repository. Each makes the environment it needs first; `make` alone prints them.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help setup demo up down test check lint types architecture chaos bench evaluate simulate soak collector accept docs lock clean

help:  ## print the verbs
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-13s %s\n", $$1, $$2}'
	@echo '  ARGS="…" hands options on: make demo ARGS="--seed 2 --fast"'

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(0 if (3, 11) <= sys.version_info[:2] <= (3, 13) else f"Python 3.11 to 3.13 is needed, $(PYTHON) is {sys.version.split()[0]}; say which: make PYTHON=python3.11")'
	@echo "→ making the environment in .venv (about 900 MB, one to two minutes the first time)"
	@$(PYTHON) -m venv .venv
	@echo "→ installing the locked packages, each checked against its hash"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable . --editable sdk/python
	@touch $(READY)

setup: $(READY)  ## make the environment in .venv

demo: $(READY)  ## the whole loop on genuine Kafka and PostgreSQL, in under six minutes
	@$(BIN)/llmopt demo $(ARGS)

up: $(READY)  ## start Kafka and PostgreSQL on this machine
	@$(BIN)/llmopt up $(ARGS)

down: $(READY)  ## stop them
	@$(BIN)/llmopt down $(ARGS)

test: $(READY)  ## every test but the long chaos runs and the benchmarks, against real servers; then the coverage
	@rm -f .coverage .coverage.*
	@$(BIN)/python -m coverage run -m pytest -n 3 --dist loadfile --no-loadscope-reorder --random-order \
	  -m "not chaos and not bench" $(ARGS); status=$$?; \
	$(BIN)/python -m coverage combine --quiet && $(BIN)/python -m coverage json --quiet && \
	$(BIN)/python -m tests.covered .coverage.json; exit $$status

lint: $(READY)  ## ruff
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: $(READY)  ## mypy --strict
	@$(BIN)/mypy

architecture: $(READY)  ## who may import whom
	@$(BIN)/lint-imports

check: lint types architecture test  ## what CI runs

chaos: $(READY)  ## kill, freeze, wipe, rebalance; then take each rule of the host away and see it missed
	@$(BIN)/python -m pytest -n 2 --dist load -m chaos tests/chaos $(ARGS)

bench: $(READY)  ## throughput, latency and memory, side by side with Faust, Quix and Kafka Streams; asserts nothing
	@$(BIN)/python -m tests.bench $(ARGS)

evaluate: $(READY)  ## the analyzers over recorded data: make evaluate DATA=folder [OUT=scores.json]
	@test -n "$(DATA)" || { echo 'name the folder: make evaluate DATA=folder [OUT=scores.json]'; exit 2; }
	@$(BIN)/llmopt evaluate "$(DATA)" $(if $(OUT),--out "$(OUT)") $(ARGS)

simulate: $(READY)  ## what is promised of the loop, measured in thousands of turns; writes docs/promises.md, takes minutes
	@$(BIN)/llmopt simulate --output markdown $(ARGS) > docs/.promises.md && mv docs/.promises.md docs/promises.md

soak: $(READY)  ## half an hour at 5,000 calls/s with kills, then every sum of every pane compared
	@$(BIN)/python -m tests.soak $(ARGS)

collector: $(READY)  ## build the OpenTelemetry Collector that some tests speak to; needs Go, once, minutes
	@$(BIN)/python -m tests.integration.collector

accept: $(READY)  ## rewrite golden outputs and generated documents; read the difference before committing
	@ACCEPT=1 $(BIN)/python -m pytest -q tests/scenarios tests/histories tests/architecture

docs: accept  ## the generated documents

lock: pyproject.toml  ## resolve the dependencies again (needs uv)
	uv pip compile pyproject.toml --extra local --extra dev --universal --python-version 3.11 \
	  --generate-hashes --no-emit-index-url --output-file requirements.lock

clean:  ## remove the environment and the local servers' data
	rm -rf .venv .local
