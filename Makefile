# make demo   swap a face from start to end, on two puppets (or: make demo A=a.mp4 B=b.mp4)
# make test   everything that CI runs: style, types, tests
# make check  the same, with a warm virtual environment assumed
# make bench  measure the operations into bench/results (RECORD=name), then make docs/kernels.md
# make bench-train  measure the training into bench/results (TRAIN_RECORD=name, TRAIN="--presets gan:64"), then docs/training.md
# make quality  what a second of training buys: presets on puppets with a known truth (hours), then docs/quality.md
# make kernels-docs  docs/kernels.md, training.md, quality.md and their plots, from the records in bench/results
# make kernels-report  registers and spills of every GPU kernel for every GPU, without one (OPS="warp paste")
# make gpu    on a machine with a GPU: its tests, benches, profile and compute-sanitizer, into gpu-out
# make clean  remove what make made

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
MINUTES ?= 4
RECORD ?= ops-cpu
TRAIN_RECORD ?= train-cpu
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.PHONY: demo test check bench bench-train quality kernels-docs kernels-report gpu clean

demo: $(VENV)/demo.stamp
	$(BIN)/fastswap demo --minutes $(MINUTES) $(if $(A),-A "$(A)") $(if $(B),-B "$(B)")

test: $(VENV)/dev.stamp
	$(MAKE) check

check:
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest $(TESTS)

bench: $(VENV)/bench.stamp
	$(BIN)/fastswap bench ops --output bench/results/$(RECORD).json
	$(MAKE) kernels-docs

bench-train: $(VENV)/bench.stamp
	$(BIN)/fastswap bench train --record bench/results/$(TRAIN_RECORD).json $(TRAIN)
	$(MAKE) kernels-docs

quality: $(VENV)/bench.stamp $(VENV)/demo.stamp
	$(BIN)/fastswap bench quality --output quality --record bench/results/quality-cpu.json --pictures docs/quality $(STUDY)
	$(MAKE) kernels-docs

kernels-docs: $(VENV)/bench.stamp
	$(BIN)/fastswap bench docs

kernels-report: $(VENV)/dev.stamp
	$(BIN)/python -m fastswap.bench.kernels_report $(OPS)

gpu: $(VENV)/dev.stamp $(VENV)/bench.stamp
	PYTHON=$(BIN)/python bench/gpu.sh

$(VENV)/%.stamp: setup.py pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing fastswap[$*] into $(VENV) (a minute or two)"
	@$(PIP) install -c constraints.txt -e ".[$*]" 2>$(VENV)/pip.log || { \
	  echo "the installation failed (see $(VENV)/pip.log): fastswap needs a package index for pip, and 4 GB of disk"; exit 1; }
	@touch $@

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "fastswap needs Python 3.11 or newer; $(PYTHON) is older: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .hypothesis .benchmarks gpu-out demo
