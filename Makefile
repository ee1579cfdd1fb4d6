# Everything here works on a fresh clone: the first target that needs .venv makes it.

NEW_ENOUGH := 'import sys; sys.exit(sys.version_info < (3, 11))'
# The first that really starts: a shim of pyenv may have no Python behind it.
PYTHON ?= $(firstword $(foreach v,python3.13 python3.12 python3.11 python3,$(shell $(v) -c $(NEW_ENOUGH) 2>/dev/null && echo $(v))))
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip --disable-pip-version-check --quiet
# Tests on real hosts mostly wait, so try more jobs than cores; 1 runs the files one after another.
JOBS ?= 3

.PHONY: help quickstart quickstart-remove test unit lint format chaos fuzz bench bench-asr bench-first bench-gateway clean prerequisites

help:
	@echo "make quickstart   set up, serve a tiny model with vLLM on this machine, and show that it answers"
	@echo "make test         set up and run everything: lint, types, unit tests, and as root tests on real hosts"
	@echo "make unit         the tests that need no host"
	@echo "make lint         ruff and mypy"
	@echo "make chaos        applies that are cut off at every moment, and the next one, on real hosts (as root; ARGS='--sample 20 --seed 1')"
	@echo "make fuzz         a million strings through the programs that read them, on a real host (as root; FUZZ=1000 FUZZ_SEED=1)"
	@echo "make bench-asr    the speech service compared with a hand-written script (ARGS='--memory 5000')"
	@echo "make bench-first  from a bare host to vLLM's first answer, compared with the same by hand (as root; ARGS='--rounds 3')"
	@echo "make bench-gateway  what a gateway adds to a chat, and to streams (as root; ARGS='--rounds 5 --servers stand-in')"
	@echo "make bench        provision compared with other tools on real hosts (as root; ARGS='--hosts 1,10 --latency 0,40')"

$(VENV)/ready: pyproject.toml
	@"$(or $(PYTHON),false)" -c $(NEW_ENOUGH) 2>/dev/null || { echo "provision needs Python 3.11 or newer (PYTHON=… make …)"; exit 1; }
	@test -x $(BIN)/pip || "$(PYTHON)" -m venv $(VENV) || { echo "the venv module is missing: apt install python3-venv"; exit 1; }
	$(PIP) install -e .
	@touch $@

$(VENV)/ready-dev: $(VENV)/ready
	$(PIP) install -e '.[dev,asr]'
	@touch $@

# Another port than the playbook's: make quickstart QUICKSTART_PORT=8012
QUICKSTART := $(BIN)/provision apply playbooks/quickstart.yml --yes --verify$(if $(QUICKSTART_PORT), -e port=$(QUICKSTART_PORT))

quickstart: $(VENV)/ready
	@echo "$(QUICKSTART)"
	@$(QUICKSTART) || { echo "if its port is in use by another program: make quickstart QUICKSTART_PORT=8012"; exit 1; }

quickstart-remove: $(VENV)/ready
	$(BIN)/provision remove playbooks/quickstart.yml --yes

prerequisites:
	@tests/prerequisites.sh

test: $(VENV)/ready-dev prerequisites lint
	$(BIN)/pytest --numprocesses $(JOBS) --dist loadfile

unit: $(VENV)/ready-dev
	$(BIN)/pytest tests/unit

lint: $(VENV)/ready-dev
	$(BIN)/ruff check --quiet .
	$(BIN)/ruff format --check --quiet .
	$(BIN)/mypy

format: $(VENV)/ready-dev
	$(BIN)/ruff check --fix --quiet .
	$(BIN)/ruff format --quiet .

chaos: $(VENV)/ready-dev
	$(BIN)/python -m tests.chaos $(ARGS)

# About a tenth of all strings for each program that reads them.
fuzz: $(VENV)/ready-dev
	FUZZ=$(or $(FUZZ),110000) FUZZ_SEED=$(or $(FUZZ_SEED),1) $(BIN)/pytest tests/fuzz

bench: $(VENV)/ready-dev
	$(BIN)/python -m tests.bench $(ARGS)

bench-asr: $(VENV)/ready-dev
	$(BIN)/python -m tests.bench.asr $(ARGS)

bench-first: $(VENV)/ready-dev
	$(BIN)/python -m tests.bench.first $(ARGS)

bench-gateway: $(VENV)/ready-dev
	$(BIN)/python -m tests.bench.gateway $(ARGS)

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
