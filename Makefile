# `make help` lists what there is. Every target sets up what it needs: a virtual environment in .venv
# with the versions of constraints.txt, made with the python3 that is found (or PYTHON=...).

PYTHON ?= python3
WORKERS ?= 2
ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.longspan-ready
EXTRAS := dev,docs,train,lra,embed,sentencepiece,onnx,cpp,bench,keras,tf,jax

# One thread in each process: two test workers on two cores do not fight over them.
ONE_THREAD := OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 TOKENIZERS_PARALLELISM=false
OFFLINE := HF_HUB_OFFLINE=1 HF_HUB_DISABLE_TELEMETRY=1
PYTEST := $(ONE_THREAD) $(OFFLINE) $(BIN)/python -m pytest

.DEFAULT_GOAL := help
.PHONY: help install demo test test-slow lint format docs bench bench-gpu bench-keras bench-million bench-quick train-contracts picture wheel clean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | awk -F '\t' '{printf "  %-16s %s\n", $$1, $$2}'

install: $(READY) ## Make .venv and install longspan with everything it is developed with

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else "longspan needs Python 3.11 or later, this is " + sys.version.split()[0] + "; name another one with: make PYTHON=python3.11")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install torch==2.13.0 -c constraints.txt
	$(BIN)/python -m pip install -e ".[$(EXTRAS)]" -c constraints.txt
	@touch $@

demo: $(READY) ## Read a real contract in one pass, print what it holds, write demo.html
	$(OFFLINE) $(BIN)/longspan demo --html demo.html $(ARGS)

test: $(READY) ## Run the test suite (ARGS="-k window" narrows it, WORKERS=8 spreads it)
	$(PYTEST) -n $(WORKERS) --dist worksteal -m "not slow" $(ARGS)

test-slow: $(READY) ## Run the tests that take minutes
	$(PYTEST) -n $(WORKERS) --dist worksteal -m slow $(ARGS) || [ $$? -eq 5 ]  # 5: no test is marked slow

lint: $(READY) ## Check style, format, spelling and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/typos
	$(BIN)/mypy

format: $(READY) ## Put the code into its format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(READY) ## Build the documentation into site/ (strict)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

bench: $(READY) ## Measure everything against its peers, each figure after a check; about 50 minutes on two cores
	$(OFFLINE) $(BIN)/python -m benchmarks all $(ARGS)

bench-gpu: $(READY) ## Check and measure the attention backends on a CUDA device, in under eight minutes
	$(OFFLINE) $(BIN)/python -m benchmarks.gpu

bench-keras: $(READY) ## Measure the TensorFlow classes beside those of transformers 4.57, whose environment it builds
	$(OFFLINE) $(BIN)/python -m benchmarks.keras --old $(ARGS)

bench-million: $(READY) ## Measure one pass over a million tokens; about 15 minutes more
	$(OFFLINE) $(BIN)/python -m benchmarks million $(ARGS)

bench-quick: $(READY) ## Run every part of the benchmark at tiny sizes, to see that it runs and is right
	$(OFFLINE) $(BIN)/python -m benchmarks all --quick $(ARGS)
	$(OFFLINE) $(BIN)/python -m benchmarks.gpu --quick

train-contracts: $(READY) ## Train the shipped contract model again (needs CUAD; see the model card)
	$(BIN)/python -m longspan.train.contracts $(ARGS)

picture: demo ## Take the picture of the demo's page for the README (needs chromium; under 300 KB)
	chromium --headless --no-sandbox --disable-gpu --hide-scrollbars --window-size=1280,800 \
	  --screenshot=docs/images/demo.png demo.html

wheel: $(READY) ## Build the wheel into dist/
	$(BIN)/python -m build --wheel

clean: ## Remove what was built, but not .venv
	rm -rf build dist site .pytest_cache .mypy_cache .ruff_cache .hypothesis demo.html
