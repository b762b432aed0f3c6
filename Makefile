# make demo   environment, dependencies, then a load of the stand-in Sentry into demo/sentry.duckdb
# make test   the same environment, then all tests
# make soak   random histories for two hours at the most; prints its seed
# make bench  all benchmarks, 20 minutes on a quiet machine; OPTIONS=--small: a rehearsal in one
# make lock   writes requirements.lock anew; LOCKED=1: an environment of exactly that, checked by hashes
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
LOCKED ?=
REQUIREMENTS := $(if $(LOCKED),--require-hashes -r requirements.lock,-r requirements-dev.txt)
ALL_PYTHONS ?= python3.11 python3.12 python3.13 python3.14

.PHONY: demo test test-write soak faults fuzz bench test-contract test-all-pythons test-newest lint audit lock format docs clean

# The stamp is newer than the requirements only when all of them are installed.
$(VENV)/installed: requirements.txt requirements-dev.txt $(if $(LOCKED),requirements.lock)
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV) || { echo "On Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(REQUIREMENTS)
	touch $@

demo: $(VENV)/installed
	$(BIN)/python sentry_pipeline.py --demo

test: $(VENV)/installed
	$(BIN)/python -m pytest -n auto --dist worksteal

test-write: $(VENV)/installed
	$(BIN)/python -m pytest -n auto --dist worksteal tests/test_issue_updates.py tests/test_event_submission.py tests/test_bugsink.py tests/test_actions.py tests/test_examples.py tests/test_written_rows.py

soak: $(VENV)/installed
	$(BIN)/python -m tests.soak --histories 5000 --minutes 120

# loads from a server of which each request may fail; the last line is JSON
faults: $(VENV)/installed
	$(BIN)/python -m tests.faults --runs 500 --minutes 30

# odd answers; the last line is JSON; OPTIONS="--number 100000 --seed 1 --minutes 60"
fuzz: $(VENV)/installed
	$(BIN)/python -m tests.fuzz $(OPTIONS)

bench: $(VENV)/installed
	$(BIN)/python -m bench $(OPTIONS)

test-contract: $(VENV)/installed
	$(BIN)/python -m pytest -n auto --dist worksteal tests/test_contract.py tests/sandbox/test_contract.py

# Each installed Python gets an environment of its own; pyenv's shims count only where they run.
test-all-pythons:
	@for python in $(ALL_PYTHONS); do \
	  if $$python -c '' 2>/dev/null; then \
	    echo "== $$python"; $(MAKE) test PYTHON=$$python VENV=.venv-$$python || exit 1; \
	  else echo "== $$python is not installed, skipped"; fi; \
	done

# An environment of its own, in which each package is the newest one that its range allows.
test-newest:
	$(MAKE) .venv-newest/installed VENV=.venv-newest LOCKED=
	.venv-newest/bin/python -m pip install --quiet --disable-pip-version-check --upgrade --upgrade-strategy eager -r requirements-dev.txt
	.venv-newest/bin/python -m pytest -n auto --dist worksteal

lint: $(VENV)/installed audit
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/bandit --quiet --configfile pyproject.toml --recursive sentry sentry_pipeline.py sandbox bench

audit: $(VENV)/installed
	$(BIN)/python .ci/audit.py

lock: $(VENV)/installed
	UV_CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --output-file requirements.lock requirements-dev.txt

docs: $(VENV)/installed
	$(BIN)/python docs/generate.py

format: $(VENV)/installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) .venv-* demo .pytest_cache .mypy_cache .ruff_cache .hypothesis
