# `make demo` and `make test` set up all that they need in .venv; run again, they start at once.
PYTHON ?= python3
BIN := .venv/bin
SOURCES := api asking models analysis training certify checking reports formats testing kernels files processes
MODULES := $(sort $(shell find $(SOURCES) -name '*.py' -o -name '*.[ch]' -o -path '*/templates/*' -type f -o -path '*/cells/*' -type f -o -path '*/networks/*' -type f))
# What an installation holds: the names of modules, and what kernels are compiled of and by.
HELD = { echo '$(MODULES)'; find kernels/sources kernels/building.py setup.py -type f | LC_ALL=C sort | xargs cat | cksum; }
EDITABLE := --config-settings editable_mode=strict
# Where the environment says not to, nothing keeps bytecode, and each process compiles torch's modules anew: seconds each.
unexport PYTHONDONTWRITEBYTECODE
# Their bytecode is written by one process while pip installs the rest, not by each process of the tests when it starts.
SLOW := torch, scipy.signal, sklearn.datasets, cvxpy, sympy, matplotlib.pyplot
INSTALL := $(BIN)/pip install --quiet --disable-pip-version-check --no-compile

.PHONY: demo test test-slow nightly coverage lint docs setup clean prove native kernel-if-tools

demo: .venv/installed
	$(BIN)/spikecert demo --out runs/demo

test: .venv/ready kernel-if-tools
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

test-slow: .venv/ready
	$(BIN)/python -m pytest -m slow --timeout 3600

# All that is asked at night, bounded part by part (tests/nightly), and one page of it: build/nightly/index.html.
nightly: .venv/ready
	cd tests && ../$(BIN)/python -m nightly

# Which lines and branches the tests of `make test` reach, as a table, and which test reaches each, as pages in build/coverage.
coverage: .venv/ready
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder --cov --cov-context=test --cov-report=term --cov-report=html:build/coverage

lint: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --warnings

docs: .venv/ready
	$(BIN)/sphinx-build --fail-on-warning --keep-going --quiet -b html docs build/site

setup: .venv/ready

# The proofs, and the kernel that is extracted from them, by Coq and OCaml of the distribution (proofs/README.md).
prove:
	$(MAKE) -C proofs prove

native:
	$(MAKE) -C proofs native

# Tests of the native kernel need it: built where Coq and OCaml are, else said here, and again below the tests.
kernel-if-tools:
	@if command -v coqc > /dev/null && command -v ocamlfind > /dev/null; then \
		$(MAKE) -C proofs native || echo 'LEFT OUT: the native kernel and its tests; its build failed, as is told above'; \
	else echo 'LEFT OUT: the native kernel and its tests; no coqc or no ocamlfind is here (proofs/README.md)'; fi

# What the library itself needs: enough for the demo. Modules are compiled when they are first imported, not all of them now.
.venv/core: pyproject.toml setup.py requirements/constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "spikecert needs Python 3.11 or newer; set PYTHON=")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(INSTALL) -c requirements/constraints.txt -e . $(EDITABLE)
	touch $@
	@$(HELD) > .venv/modules
	@touch .venv/installed

# What tests, linters and the documentation need besides.
.venv/dependencies: .venv/core requirements/lirpa.txt requirements/snn.txt
	@$(BIN)/python -W ignore -c 'import $(SLOW)' & \
	$(INSTALL) -c requirements/constraints.txt -e '.[dev,ray,events,tensorboard,docs]' $(EDITABLE) && wait
	$(INSTALL) -c requirements/constraints.txt appdirs pyyaml ninja tqdm h5py loguru
	$(INSTALL) --no-deps -r requirements/lirpa.txt -r requirements/snn.txt
	touch $@

# The strict editable install links each module, so a new or removed file needs a new install; so does a kernel's source.
.venv/installed: .venv/core .venv/modules
	test $@ -nt .venv/modules || $(INSTALL) --no-deps -e . $(EDITABLE)
	touch $@

.venv/modules: .venv/core FORCE
	@$(HELD) | cmp -s - $@ || $(HELD) > $@

.venv/ready: .venv/dependencies .venv/installed
	touch $@

FORCE:

clean:
	rm -rf .venv build dist runs *.egg-info .pytest_cache .ruff_cache .hypothesis
