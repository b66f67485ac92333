# make setup | demo | test | soak | lint | bench | clean.  Needs Python 3.11 or newer, make and git; everything else is set up here.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

VENV := .venv
BIN  := $(VENV)/bin
TEST_JOBS ?= 2
SERVER_JOBS ?= $(if $(filter 0,$(TEST_JOBS)),0,3)
# What the environment was made from. The stamp's name holds it, so that nothing to do costs one hash of two files.
KEY   := $(shell cat requirements.txt pyproject.toml | sha256sum | cut -c1-16)
STAMP := $(VENV)/.ready-$(KEY)

.PHONY: help setup demo test lint bench fuzz reliability lock audit clean

help:
	@echo "make demo    set everything up and watch a ranking move in this terminal (Ctrl-C ends it)"
	@echo "make test    set everything up and run all tests: pure ones first, then those on a real Kafka and Redis"
	@echo "make soak    the chaos trial at length: SEED=n KILLS=k [SETUP=a|b|c MIX=even|kills MINUTES=m RECORD=file.jsonl.gz]"
	@echo "make lint    style, types, import layers"
	@echo "make bench   side-by-side measurements"
	@echo "make fuzz    mutated input and random command sequences at length (SEED=n repeats one run); make test has a short form"
	@echo "make reliability   docs/reliability.md from the records of all runs of the chaos trial (docs/soak/)"
	@echo "make setup   only make $(VENV);  $(BIN)/tidewatch is then the command"
	@echo "make audit   look the locked dependencies up in the list of known weaknesses (needs the network)"
	@echo "make lock    compile requirements.in into requirements.txt;  make clean removes what was made here"

setup: $(STAMP)

$(STAMP):
	@deploy/venv.sh $(VENV)
	@echo "setup 2/3: installing the locked dependencies, each file checked by its hash (about 220 MB the first time)"
	@$(BIN)/python -m pip install --disable-pip-version-check --require-hashes --only-binary :all: -r requirements.txt
	@echo "setup 3/3: installing tidewatch itself, editable"
	@$(BIN)/python -m pip install --disable-pip-version-check --quiet --no-deps --no-build-isolation \
	  --config-settings editable_mode=compat --editable .
	@rm -f $(VENV)/.ready $(VENV)/.ready-* && touch $(STAMP) $(VENV)/.ready
	@echo "setup: done; the command is $(BIN)/tidewatch"

demo: setup
	@$(BIN)/tidewatch demo

# Pure tests come first: they take seconds, so a broken formula is seen before a server starts.
# Files side by side, each process with servers of its own; most of a server test is waiting, so there are more than cores.
# What measures how much a worker can take comes last, alone. TEST_JOBS=0: one after the other.
test: setup
	$(BIN)/python -m pytest -m "not servers" -n $(TEST_JOBS) --dist loadfile
	$(BIN)/python -m workers.local.training
	$(BIN)/python -m pytest -m "servers and not alone" -n $(SERVER_JOBS) --dist loadfile --no-loadscope-reorder --durations=15
	$(BIN)/python -m pytest -m alone

# Faults by a seeded schedule over real servers while events flow, and every check after each round (tests/chaos/soak.py).
soak: setup
	$(BIN)/python -m tests.chaos.soak --setup $(or $(SETUP),a) --kills $(or $(KILLS),100) \
	  $(if $(SEED),--seed $(SEED)) $(if $(MIX),--mix $(MIX)) $(if $(MINUTES),--minutes $(MINUTES)) $(if $(RECORD),--record $(RECORD))

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: setup
	$(BIN)/python -m bench.ingest
	$(BIN)/python -m bench.latency

# About an hour. Each prints its seed; what fails is kept as a file that is named.
SEED ?= $(shell date +%s)
FUZZ_RECORD ?= docs/soak/fuzz-$(SEED).jsonl.gz
fuzz: setup
	$(BIN)/python -m tests.fuzz.decoder --messages 1000000 --seed $(SEED) --record $(FUZZ_RECORD)
	$(BIN)/python -m tests.fuzz.ownership --sequences 100000 --seed $(SEED) --record $(FUZZ_RECORD)
	$(BIN)/python -m tests.fuzz.live --messages 100000 --seed $(SEED) --record $(FUZZ_RECORD)

# docs/reliability.md, from the records of all runs in docs/soak/.
reliability: setup
	$(BIN)/python -m tests.chaos.report docs/soak docs/reliability.md

# Needs uv on the PATH (a tool of the maintainer, not of the product).
lock:
	uv pip compile requirements.in --output-file requirements.txt --quiet --upgrade --universal --python-version 3.11 \
	  --generate-hashes --no-emit-index-url --no-annotate --custom-compile-command "make lock" > /dev/null
	@! grep -nE '[a-z]+://' requirements.txt || { echo "requirements.txt must hold no addresses"; exit 1; }

# Known weaknesses of the locked versions, from PyPI's advisories. pip-audit lives in an environment of its own.
audit:
	@test -x .audit/bin/pip-audit || { $(BIN)/python -m venv .audit && .audit/bin/python -m pip install --quiet pip-audit; }
	.audit/bin/pip-audit --requirement requirements.txt --require-hashes --disable-pip --strict

clean:
	rm -rf $(VENV) .audit build *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
