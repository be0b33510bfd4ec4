# Each target sets up .venv by itself; the second call starts at once.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
# two test processes share the cores; threads inside each would only wait for one another
PYTEST := OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 -q

.PHONY: demo test proof check fix bench docs clean

$(READY): pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "installing pertura into .venv (first call only, about a minute)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	@touch $@

demo: $(READY)
	@$(BIN)/pertura run demo

# every array's shape is checked in the fast tests; in whole runs that would only treble their time
test: $(READY)
	@$(PYTEST) -m "not slow and not proof"
	@PERTURA_SHAPES=0 $(PYTEST) -m "slow and not proof"

proof: $(READY)
	@PERTURA_SHAPES=0 $(PYTEST) -m proof

check: $(READY)
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@PERTURA_SHAPES=0 $(PYTEST) -m "not slow and not proof" tests/gates tests/contracts

fix: $(READY)
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

bench: $(READY)
	@for file in benchmarks/*.py; do echo "== $$file"; $(BIN)/python $$file || exit 1; done

docs: $(READY)
	@$(BIN)/python -m pytest -q tests/gates/test_readme.py

clean:
	rm -rf .venv runs
