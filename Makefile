# Everything sets itself up: uv into .tools, the packages into .venv, Triton's own environment into .triton.
PYTHON ?= python3
UV := .tools/bin/uv
RUN := $(UV) run --no-sync
SUITE ?= all
WORKERS ?= 2
# Dozens of processes start, each of a few hundred modules: what Python compiles is kept, whatever the shell says.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup demo test check bench eval chaos stubs format clean

help:
	@echo "make demo    set up everything and run the main job on a simulated store"
	@echo "make test    set up everything and run the tests, so many files at once (WORKERS=2)"
	@echo "make check   style, types, protos, stubs, images and manifests"
	@echo "make bench   speed and memory            (SUITE=clips|film|identify|ingest|memory|perception|pipeline|quiet|runtimes|second-query|triton)"
	@echo "make eval    accuracy                    (SUITE=stores|fast|space|redaction|corridor|models|mot|answers)"
	@echo "make chaos   kill matrix, ten jobs at once (SUITE=kill|pause|crowd|scale|PROCESS)"
	@echo "make stubs   regenerate services/throughline/v1 from protos/"

# A Python without ensurepip (Debian's, without python3-venv) can still install below a folder with pip.
$(UV):
	$(PYTHON) -m venv .tools && .tools/bin/python -m pip install --quiet "uv>=0.9" \
	  || { $(PYTHON) -m pip install --quiet --target .tools/lib "uv>=0.9" && mkdir -p .tools/bin && ln -sf ../lib/bin/uv $@; }

.venv/.synced: $(UV) pyproject.toml uv.lock
	$(UV) sync --quiet --compile-bytecode --extra embedded --python $(PYTHON)
	@touch $@

setup: .venv/.synced

demo: setup
	$(RUN) throughline demo

test: setup
	$(RUN) pytest --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder

check: setup
	$(RUN) ruff check .
	$(RUN) ruff format --check .
	$(RUN) mypy
	$(RUN) buf lint
	$(RUN) python -m tests.stubs --check
	$(RUN) pytest --quiet tests/deployment/test_dockerfile.py tests/deployment/test_compose.py tests/deployment/test_kubernetes.py

bench: setup
	$(RUN) python -m tests.bench --suite $(SUITE)

eval: setup
	$(RUN) python -m tests.evaluation --suite $(SUITE)

chaos: setup
	$(RUN) python -m tests.chaos --suite $(SUITE)

stubs: setup
	$(RUN) python -m tests.stubs

format: setup
	$(RUN) ruff check --fix .
	$(RUN) ruff format .

clean:
	rm -rf .venv .tools .triton build
