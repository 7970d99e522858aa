# `make run` and `make test` need Python >= 3.10, pip and make. Both set up .venv first and can be repeated.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
WORKERS ?= 2
EXTRA ?= dev

.DELETE_ON_ERROR:
.PHONY: help run test soak mutants bench bench-peers gpu docs docs-serve release-check clean

help:
	@echo "make run    set up .venv, then learn split-digits with SLCA on the embedded backbone (no download)"
	@echo "make test   set up .venv, then ruff, mypy, import-linter and the fast tests"
	@echo "make soak   set up .venv, then kill runs, lose disks, damage files, feed odd input (docs/reliability.md); about an hour"
	@echo "make mutants  set up .venv, then check that tests catch wrong versions of the methods (CONTRIBUTING.md)"
	@echo "make bench  set up .venv, then measure the overhead of the loop (benchmarks/README.md)"
	@echo "make bench-peers  set up .venv, then measure clbench next to Avalanche; about two hours on an idle machine"
	@echo "make gpu    set up .venv, then check and measure one GPU, and run rows of B2-224 on it; at most 8 minutes"
	@echo "make docs   set up .venv, then build the documentation into site/ (docs-serve updates it while you write)"
	@echo "make release-check  set up .venv, then build, twine check, install the wheel by itself and run it (REPOSITORY=https://...)"
	@echo "make clean  remove .venv and caches"

run: $(VENV)/run.stamp
	CLBENCH_OFFLINE=1 $(BIN)/clbench run --strategy slca --stream split-digits

# One thread per worker: workers that each use all cores only wait for each other. Work stealing keeps neighbouring tests
# in one worker, where they share fixtures that are expensive to build.
test: $(VENV)/dev.stamp
	$(BIN)/ruff check .
	$(BIN)/python tools/typecheck.py
	$(BIN)/python tools/lint_imports.py
	OMP_NUM_THREADS=1 CLBENCH_OFFLINE=1 HF_HUB_OFFLINE=1 $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

# SOAK holds more arguments, as in: make soak SOAK="--seed 1 --only kill:17"
soak: $(VENV)/dev.stamp
	OMP_NUM_THREADS=1 $(BIN)/python -m tools.soak $(SOAK)

# MUTANTS holds more arguments, as in: make mutants MUTANTS="--only SLCA"
mutants: $(VENV)/dev.stamp
	$(BIN)/python -m tools.mutants $(MUTANTS)

bench: $(VENV)/run.stamp
	$(BIN)/python -m benchmarks.loop_overhead

# PEERS holds more arguments, as in: make bench-peers PEERS="--only naive,ewc --pairs 7"
bench-peers: $(VENV)/run.stamp
	CLBENCH_OFFLINE=1 $(BIN)/python -m benchmarks.peers $(PEERS)

# GPU holds more arguments, as in: make gpu GPU="--rehearse"
gpu: $(VENV)/run.stamp
	$(BIN)/python -m benchmarks.gpu $(GPU)

# mkdocs-material announces its successor on every build unless told not to.
docs: $(VENV)/docs.stamp
	NO_MKDOCS_2_WARNING=1 CLBENCH_OFFLINE=1 $(BIN)/mkdocs build --strict

docs-serve: $(VENV)/docs.stamp
	NO_MKDOCS_2_WARNING=1 CLBENCH_OFFLINE=1 $(BIN)/mkdocs serve

# REPOSITORY is the public address that links of the README become absolute with.
release-check: $(VENV)/release.stamp
	$(BIN)/python tools/release_check.py $(REPOSITORY)

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/run.stamp: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --editable .
	@touch $@

$(VENV)/dev.stamp: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --editable ".[$(EXTRA)]"
	@touch $@ $(VENV)/run.stamp

$(VENV)/docs.stamp: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --editable ".[docs]"
	@touch $@ $(VENV)/run.stamp

$(VENV)/release.stamp: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --editable ".[release]"
	@touch $@ $(VENV)/run.stamp

clean:
	rm -rf $(VENV) build dist site *.egg-info .mypy_cache .pytest_cache .ruff_cache
