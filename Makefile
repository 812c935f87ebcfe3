# What README calls. Everything is set up in .venv and build/; a second run is quick.
PYTHON ?= python3
BIN := .venv/bin
SOURCES := $(shell find cpp python CMakeLists.txt pyproject.toml -type f -not -name '*.pyc' -not -name '*.so')
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: demo test bench lint format test-cpp test-python sanitize fuzz powercut soak tidy clean

demo: .venv/installed  ## build, then save, verify and map a 2 GB model (DEMO="--gb 4" for more)
	$(BIN)/tensorbundle demo $(DEMO)

test: lint test-cpp test-python  ## everything that CI runs

bench: .venv/test-installed  ## the micro figures; benchmarks/README.md has the others
	$(BIN)/python -m pytest benchmarks --benchmark-only $(BENCH)

lint: .venv/test-installed  ## style and types, C++ and Python
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy
	git ls-files '*.h' '*.cc' | xargs $(BIN)/clang-format --dry-run --Werror

format: .venv/test-installed  ## rewrite what lint would refuse
	$(BIN)/ruff check --fix . && $(BIN)/ruff format .
	git ls-files '*.h' '*.cc' | xargs $(BIN)/clang-format -i

test-cpp: .venv/test-installed  ## the core's own tests
	sh tests/cpp/run.sh dev

test-python: .venv/test-installed  ## the package, against real TensorFlow, torch and JAX
	$(BIN)/python -m pytest $(PYTEST)

sanitize: .venv/test-installed  ## the core's tests under ASan, UBSan and TSan
	sh tests/cpp/run.sh asan && sh tests/cpp/run.sh tsan

fuzz: .venv/test-installed  ## each fuzzer (or FUZZ="index v1") for SECONDS (60), under ASan and UBSan
	$(BIN)/python tests/fuzz.py --seconds $(or $(SECONDS),60) $(if $(JOBS),--jobs $(JOBS)) $(FUZZ)

powercut: .venv/test-installed  ## cut the power of ext4 and XFS N times each, in the middle of saves (root)
	$(BIN)/python tests/python/reliability/power_cuts.py $(or $(N),1000) --seed $(or $(SEED),1)

soak: .venv/test-installed  ## save and rotate N times, and watch what grows
	$(BIN)/python tests/python/reliability/soak.py build/soak $(or $(N),10000)

tidy: .venv/test-installed  ## clang-tidy on the core
	$(BIN)/pip install -q clang-tidy==23.1.4 && cmake --preset tidy && cmake --build --preset tidy

clean:  ## forget everything that was built; .venv stays
	rm -rf build .venv/installed .venv/test-installed

.venv/tools:
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -q --disable-pip-version-check cmake ninja pybind11 scikit-build-core
	touch $@

# The build directory is kept, so only what changed is compiled again.
.venv/installed: .venv/tools $(SOURCES)
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-build-isolation .
	touch $@

.venv/test-installed: .venv/installed
	sh tests/system_packages.sh
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-build-isolation '.[test,lint]'
	touch $@
