# Everything a newcomer types. PYTHON=python3.12 chooses another interpreter for .venv.
PYTHON ?= python3
PY ?= $(PYTHON)
KAFKA_PORT ?= 9092
SHARED ?= ../shared/data

BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -q
WHEEL := build/wheel
PYTEST := env -u PYTHONPATH STREAMLSTM_TEST_INSTALLED=1 $(BIN)/pytest -n 3 --dist worksteal
SOURCES := setup.py pyproject.toml LICENSE README.md \
	$(shell find streamlstm src_cython -type f ! -name '*.so' ! -name '*.pyc' 2>/dev/null)

.PHONY: help demo test test-all mutants sanitize lint schema bench bench-full evaluate labelled-series kafka inplace clean
.DELETE_ON_ERROR:

help: ## what can be made
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 18

demo: .venv/.installed ## install into .venv and run the whole service on this machine
	$(BIN)/streamlstm demo

# Many tests wait for processes and brokers, hence one more at a time than most small machines have cores.
test: .venv/.dev ## install into .venv and run the tests against what was installed, in minutes
	$(PYTEST) $(PYTEST_ARGS)

test-all: .venv/.dev ## the same with the long forms, which continuous integration runs
	$(PYTEST) -m "slow or not slow" $(PYTEST_ARGS)

mutants: .venv/.dev ## change the sources a little, again and again, and list what no test notices; an hour and more
	$(BIN)/python setup.py -q build_ext --inplace
	$(BIN)/python tests/mutation/mutants.py $(ROOMS)

# What is interpreted beside the kernels is not instrumented, hence the preloaded libraries; CPython leaks by design.
# Twice: as it is shipped, and for this processor, where headers choose other code.
sanitize: .venv/.dev ## run the kernels' tests and crafted bundles with address and undefined-behaviour sanitizers
	for native in 0 1; do \
		STREAMLSTM_SANITIZE=1 STREAMLSTM_NATIVE=$$native $(BIN)/python setup.py -q build \
			--build-base build/sanitized-$$native --parallel 2 && \
		env LD_PRELOAD="$$(cc -print-file-name=libasan.so) $$(cc -print-file-name=libubsan.so)" ASAN_OPTIONS=detect_leaks=0 \
			PYTHONPATH=$$(echo $(CURDIR)/build/sanitized-$$native/lib*) sh -c '\
			$(BIN)/pytest -p no:cacheprovider tests/kernels && \
			$(BIN)/pytest -p no:cacheprovider -m "slow or not slow" tests/model/bundles/test_crafted_bundles.py' \
		|| exit 1; \
	done

lint: .venv/.dev ## ruff, cython-lint, mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/cython-lint src_cython
	$(BIN)/mypy

schema: .venv/.installed ## write docs/config.schema.json and docs/train.schema.json anew
	$(BIN)/python -c 'import json; from streamlstm.config import json_schema; print(json.dumps(json_schema(), indent=2))' \
		> docs/config.schema.json
	$(BIN)/python -c 'import json; from streamlstm.config import train_schema; print(json.dumps(train_schema(), indent=2))' \
		> docs/train.schema.json

bench: .venv/.bench ## speed of the kernel beside its peers, about a minute
	$(BIN)/streamlstm bench kernel --quick --json build/bench-kernel.json

bench-full: .venv/.bench ## every cell, some minutes, and the page build/benchmarks.md
	$(BIN)/streamlstm bench kernel --json build/bench-kernel.json
	$(BIN)/streamlstm bench threads --json build/bench-threads.json
	$(BIN)/streamlstm bench train --json build/bench-train.json
	$(BIN)/streamlstm bench report build/bench-kernel.json build/bench-threads.json build/bench-train.json --out build/benchmarks.md

evaluate: labelled-series .venv/.installed ## how well anomalies are found in the labelled series of SHARED, some minutes, and the page build/evaluation
	@mkdir -p build
	$(BIN)/streamlstm evaluate $(SHARED) --out build/evaluation $(EVALUATE_ARGS)

labelled-series:
	@test -d "$(SHARED)" || { echo "there are no labelled series at $(SHARED): name their folder, make evaluate SHARED=DIR;" \
		"docs/detection.md says what it holds, and how your own recordings are evaluated" >&2; exit 1; }

kafka: ## start a real broker on 127.0.0.1:9092 (KAFKA_PORT), with data in .kafka/
	deploy/kafka/broker start .kafka $(KAFKA_PORT)
	@echo "stop it with: deploy/kafka/broker stop .kafka"

inplace: ## build the extensions beside the sources, for work on them
	$(PY) setup.py build_ext --inplace

clean: ## remove .venv and everything that was built (.kafka/ stays)
	rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find streamlstm -name '*.so' -delete
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "streamlstm needs Python 3.11 or newer, and $(PYTHON) is not; try make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null \
		|| { echo "$(PYTHON) cannot make virtual environments; on Debian: apt install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv .venv

# build/lib is setuptools' own copy of the package; what was deleted from the sources would live on in it.
$(WHEEL)/.built: .venv/bin/python $(SOURCES)
	@echo "building streamlstm"
	rm -rf build/lib* $(WHEEL)
	$(PIP) wheel --no-deps -w $(WHEEL) .
	@touch $@

# pip keeps an installed package of the same version, so it is told twice: once for what it needs, once for itself.
.venv/.installed: $(WHEEL)/.built
	@echo "installing streamlstm into .venv"
	$(PIP) install "$$(ls $(WHEEL)/streamlstm-*.whl)"
	$(PIP) install --force-reinstall --no-deps "$$(ls $(WHEEL)/streamlstm-*.whl)"
	@touch $@

.venv/.dev: .venv/.installed
	$(PIP) install "$$(ls $(WHEEL)/streamlstm-*.whl)[dev]"
	@touch $@

.venv/.bench: .venv/.installed
	$(PIP) install "$$(ls $(WHEEL)/streamlstm-*.whl)[bench]"
	@touch $@
