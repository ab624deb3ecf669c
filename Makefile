# Every target makes what it needs: .venv with the locked dependencies, and the compiled extensions.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PYX := $(shell find protocol proxy rules -name '*.pyx' -o -name '*.pxd' -o -name '*.h')
PYX += $(wildcard $(patsubst %.pxd,%.py,$(filter proxy/%.pxd,$(PYX))))

.PHONY: demo test test-kube chart check fuzz bench bench-smoke soak image lock clean build
.DEFAULT_GOAL := help

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## */  make \1\t/' | expand -t 18

$(VENV)/.deps: requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit("wiremask needs Python 3.11 or newer; set PYTHON=python3.X") if sys.version_info < (3, 11) else None'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing the locked dependencies into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-virtualenv -r requirements.lock
	@touch $@

$(VENV)/.built: $(VENV)/.deps pyproject.toml $(PYX)
	@command -v $${CC:-cc} >/dev/null || { echo "wiremask needs a C compiler: install gcc or clang" >&2; exit 1; }
	@echo "compiling the extensions ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps --editable .
	@touch $@

build: $(VENV)/.built ## .venv, dependencies and compiled extensions

demo: $(VENV)/.built ## see records masked: embedded broker, proxy, producer and consumer
	@$(BIN)/wiremask demo

test: $(VENV)/.built ## every test, the real Apache Kafka ones too where Java 17+ and Maven are there
	@$(BIN)/python -m pytest -n 2 --dist loadgroup -q --ignore tests/kube

test-kube: $(VENV)/.built ## the chart and the webhook, on a real Kubernetes API server; needs Go, which builds it once
	@$(BIN)/python -m pytest -q tests/kube

check: $(VENV)/.built ## ruff, mypy strict, import contracts
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

fuzz: $(VENV)/.built ## fuzz what reads strangers' bytes, FUZZ_SECONDS (1800) for each target
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check "atheris>=3" || echo "no atheris here: Python targets are fuzzed blindly"
	@PYTHONPATH=tests $(BIN)/python -m fuzz --seconds $(or $(FUZZ_SECONDS),1800)

$(VENV)/.bench: $(VENV)/.deps
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check matplotlib || echo "no picture: matplotlib cannot be had"
	@touch $@

bench: $(VENV)/.built $(VENV)/.bench ## all figures, as ratios in one run (15 minutes; TARGET=name=host:port,pid adds a proxy)
	@PYTHONPATH=tests $(BIN)/python -m bench $(if $(TARGET),--target $(TARGET))

bench-smoke: $(VENV)/.built ## a part of them in a minute
	@PYTHONPATH=tests $(BIN)/python -m bench kernel wire process --smoke

soak: $(VENV)/.built ## masked traffic for 20 minutes; memory must stay level
	@PYTHONPATH=tests $(BIN)/python -m bench soak --json out/soak.json

chart: $(VENV)/.built ## values.schema.json and the table of values, from helm/wiremask/values.yaml
	@$(BIN)/python deploy/chart.py

lock: ## resolve requirements.lock anew from pyproject.toml
	@$(PYTHON) deploy/lock.py

clean: ## remove what the targets made
	rm -rf $(VENV) build dist src/*.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find protocol proxy rules \( -name '*.so' -o -name '*.c' \) -delete
