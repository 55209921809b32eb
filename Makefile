# What a developer runs. On a fresh clone `make test` is the first command: it makes .venv, builds the library, tests.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

PYTHON ?= python3
PYTEST ?=
BENCH ?=
DEMO ?=
FUZZ ?=

VENV := .venv
BIN := $(CURDIR)/$(VENV)/bin
# Versions that were tested together, where there is a list of them for this Python and this kind of machine.
LOCK := requirements/$(shell $(PYTHON) -c 'import platform as p, sys; print(p.python_implementation().lower(), \
  "%d.%d" % sys.version_info[:2], sys.platform, p.machine(), sep="-")' 2>/dev/null).txt
LOCKED := $(wildcard $(LOCK))
PIP := $(BIN)/python -m pip install -qq $(addprefix -c ,$(LOCKED))
export CMAKE_BUILD_PARALLEL_LEVEL ?= $(shell nproc)

# An environment outlives neither its place nor its Python: both are part of the name of the file that says it is there.
KEY := $(shell { echo "$(CURDIR)"; $(PYTHON) -c 'import sys; print(sys.version, sys.base_prefix)'; } 2>&1 | cksum | tr -d ' ')
MADE := $(VENV)/made-$(KEY)
INSTALLED := $(VENV)/installed-$(KEY)
BUILT := $(VENV)/built-$(KEY)
CPU_SOURCES := CMakeLists.txt $(wildcard kernels/*.cu kernels/*.cuh kernels/*.hpp kernels/*.cpp)

SANITIZED := build/sanitize
SANITIZED_LEVEL := $(if $(filter x86_64,$(shell uname -m)),x86-64-v3,generic)
SANITIZED_LIBRARY := $(SANITIZED)/trueflow_$(SANITIZED_LEVEL).so

AARCH64 := build/aarch64
AARCH64_LIBRARY := $(AARCH64)/trueflow_generic.so

.PHONY: help
help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: environment ## show what dealiasing does: out/demo.mp4, out/demo.png; DEMO="--seed 2" passes options on
	$(BIN)/trueflow demo -o out $(DEMO)

.PHONY: test
test: environment ## run the tests; PYTEST="-k das" passes options on
	$(BIN)/python -m pytest $(PYTEST)

.PHONY: lint
lint: environment ## check style
	$(BIN)/ruff check .

.PHONY: types
types: environment ## check types
	$(BIN)/mypy -p trueflow.pipeline -p trueflow.kernels -p trueflow.models -p trueflow.viewer -p trueflow.benchmarks

.PHONY: sanitize
sanitize: environment $(SANITIZED_LIBRARY) ## run the kernels' tests with the address and undefined-behaviour sanitizers
	tests/sanitized.sh $(SANITIZED_LIBRARY) $(BIN)/python -m pytest tests/kernels -v --capture=sys \
	  -p tests.kernels.exact_arrays --ignore=tests/kernels/nvrtc --ignore=tests/kernels/test_sanitizers.py $(PYTEST)

.PHONY: docs
docs: environment ## write docs/cli.md and docs/configuration.md anew from the code
	$(BIN)/python -m trueflow.pipeline.cli.reference docs

.PHONY: pictures
pictures: environment ## draw the pictures of docs/dealiasing.md anew: look at them
	$(BIN)/python -m trueflow.benchmarks.evidence_pictures docs/pictures

.PHONY: screenshots
screenshots: environment ## make the viewer's reference pictures and those of docs/viewer.md anew: look at them
	TRUEFLOW_SCREENSHOTS=write $(BIN)/python -m pytest tests/viewer/test_screenshots.py tests/viewer/test_page.py

.PHONY: fuzz
fuzz: environment ## fuzz the readers, keep what breaks them; FUZZ="--seconds 600 --target zea" passes options on
	nice -n 15 $(BIN)/python -m tests.fuzz $(FUZZ)

.PHONY: lock
lock: environment ## write the newest versions that fit together into requirements/, for this Python and machine
	$(BIN)/python tests/lock.py $(LOCK)

.PHONY: emulate
emulate: environment ## run the kernels' tests on the GPU's text and launches, thread by thread on the CPU
	$(BIN)/python -m pytest tests/kernels --device emulated --ignore=tests/kernels/nvrtc \
	  --ignore=tests/kernels/test_sanitizers.py $(PYTEST)

.PHONY: gpu-check
gpu-check: ## on a machine with an NVIDIA GPU: test and time everything there, write build/gpu-check/report.md
	@tests/gpu.sh $(PYTHON)
	@$(MAKE) --no-print-directory environment
	@$(BIN)/python -m trueflow.benchmarks.gpu_check

.PHONY: gpu-model
gpu-model: environment ## predict the kernels' times on GPUs anew, into docs/gpu.md
	$(PIP) nvidia-cuda-nvdisasm
	$(BIN)/python -m tests.kernels.nvrtc.page

.PHONY: aarch64
aarch64: environment $(AARCH64_LIBRARY) $(AARCH64)/python/made ## build the CPU library for aarch64, test it under qemu
	tests/aarch64/run.sh $(AARCH64)/python $(AARCH64_LIBRARY) -q --ignore=tests/kernels/test_predictions.py $(PYTEST)

.PHONY: aarch64-wheels
aarch64-wheels: environment ## look whether everything installs from wheels on an aarch64 host
	$(BIN)/python tests/aarch64/wheels.py

.PHONY: nvrtc-table
nvrtc-table: environment ## measure the GPU kernels' registers anew, into tests/kernels/nvrtc/resources.toml
	$(BIN)/python -m tests.kernels.nvrtc.resources

.PHONY: bench
bench: environment ## make every figure and picture of README and docs anew; BENCH="--part limits" passes options on
	$(PIP) --no-build-isolation -e '.[bench]' || echo "Not all peers could be installed: those that are missing are skipped"
	$(BIN)/trueflow bench all --update $(BENCH)

.PHONY: pages
pages: environment ## write what README and docs say of the stored figures anew, measuring nothing
	$(BIN)/trueflow bench all --update --pages

.PHONY: environment
environment: $(BUILT) ## make .venv with the package in it, editable, and the library built

.PHONY: clean
clean: ## remove .venv and everything built
	rm -rf $(VENV) build .mypy_cache .ruff_cache .pytest_cache .hypothesis

.PHONY: prerequisites
prerequisites:
	@tests/prerequisites.sh $(PYTHON)

# build/ remembers absolute paths as well.
$(MADE): | prerequisites
	@echo "Making $(VENV)"
	rm -rf $(VENV) build
	$(PYTHON) -m venv $(VENV)
	touch $@

# Without build isolation a change of a kernel costs its own compilation, not that of a build environment. TensorRT-RTX
# comes in recipes of a few lines, which are built with setuptools and wheel.
$(INSTALLED): pyproject.toml $(MADE) $(LOCKED)
	@echo "Installing Trueflow and its development tools into $(VENV)"
	$(PIP) scikit-build-core cmake ninja setuptools wheel
	$(PIP) --no-build-isolation -e '.[dev]'
	touch $@ $(BUILT)

$(BUILT): $(CPU_SOURCES) $(INSTALLED)
	@echo "Building the CPU library"
	$(PIP) --no-build-isolation --no-deps -e .
	touch $@

$(SANITIZED_LIBRARY): $(CPU_SOURCES) $(BUILT)
	@echo "Building the CPU library with sanitizers"
	PATH="$(BIN):$$PATH" cmake -S . -B $(SANITIZED) -G Ninja --log-level=WARNING -DCMAKE_BUILD_TYPE=Release \
	  -DCMAKE_CXX_COMPILER=g++ -DTRUEFLOW_SANITIZE=ON -DTRUEFLOW_LEVELS=$(SANITIZED_LEVEL)
	PATH="$(BIN):$$PATH" cmake --build $(SANITIZED) -- --quiet
	touch $@

$(AARCH64_LIBRARY): $(CPU_SOURCES) $(BUILT)
	@tests/aarch64/tools.sh
	@echo "Building the CPU library for aarch64"
	PATH="$(BIN):$$PATH" cmake -S . -B $(AARCH64) -G Ninja --log-level=WARNING -DCMAKE_BUILD_TYPE=Release \
	  -DCMAKE_SYSTEM_NAME=Linux -DCMAKE_SYSTEM_PROCESSOR=aarch64 -DCMAKE_CXX_COMPILER=aarch64-linux-gnu-g++
	PATH="$(BIN):$$PATH" cmake --build $(AARCH64) -- --quiet
	touch $@

$(AARCH64)/python/made: tests/aarch64/python.sh $(MADE)
	@tests/aarch64/tools.sh
	tests/aarch64/python.sh $(AARCH64)/python $(BIN)/python
	touch $@
