# `make demo` and `make test` need Python 3.11 or newer, a C compiler and this file: they do all their own set-up in
# .venv. Each file .venv/.<step> marks a step that has succeeded, so an interrupted set-up goes on where it stopped.

PYTHON ?= python3
ARGS ?=

PIP := .venv/bin/python -m pip --quiet --disable-pip-version-check
SOURCES := pyproject.toml meson.build meson.options $(shell find sklearn_mlp -type f ! -name '*.pyc')

# Writes the requirements of one list in pyproject.toml, which is the only place that names them.
requirements = .venv/bin/python -c 'import tomllib; \
	print(*tomllib.load(open("pyproject.toml", "rb"))$(1), sep="\n")'

.PHONY: help demo test lint doc bench clean
.DELETE_ON_ERROR:

help:
	@echo "make demo    train ours and scikit-learn's networks on real data and compare them"
	@echo "make test    run the tests              (ARGS='-k lbfgs -x' goes to pytest, -n0 for one process)"
	@echo "make lint    run ruff, cython-lint and mypy"
	@echo "make doc     build the site into doc/_build/html, examples and all; any warning is an error"
	@echo "make bench   measure the speed, bars and all, for half an hour  (ARGS=--quick, ARGS=--help)"
	@echo "make clean   remove .venv and everything that was built"
	@echo "PYTHON=/path/to/python chooses the interpreter (3.11 or newer) that .venv is made from."

demo: .venv/.package
	@.venv/bin/python examples/demo.py $(ARGS)

test: .venv/.package .venv/.test
	@.venv/bin/pytest -n auto --dist worksteal $(ARGS)

lint: .venv/.package .venv/.lint
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	PATH="$(CURDIR)/.venv/bin:$$PATH" .venv/bin/cython-lint sklearn_mlp
	.venv/bin/mypy

doc: .venv/.package .venv/.doc
	@.venv/bin/sphinx-build -W --keep-going -q -d doc/_build/doctrees -b html doc doc/_build/html $(ARGS)
	@echo "built: doc/_build/html/index.html"

bench: .venv/.package
	@.venv/bin/python benchmarks/compare.py $(ARGS)

clean:
	rm -rf doc/_build doc/auto_examples doc/generated
	rm -rf .venv build dist .pytest_cache .ruff_cache .mypy_cache .hypothesis
	find benchmarks doc examples sklearn_mlp tests -name __pycache__ -exec rm -rf {} +

.venv/.created:
	@command -v '$(PYTHON)' >/dev/null || { \
		echo "error: there is no '$(PYTHON)'; name a Python >= 3.11: make PYTHON=/path/to/python" >&2; exit 1; }
	@'$(PYTHON)' -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "error: '$(PYTHON)' is $$('$(PYTHON)' --version 2>&1), which is older than 3.11;" \
		"name a newer one: make PYTHON=/path/to/python" >&2; exit 1; }
	@echo "==> creating .venv"
	@'$(PYTHON)' -m venv .venv
	@touch $@

.venv/.build: .venv/.created pyproject.toml
	@echo "==> installing what the build needs"
	@$(call requirements,["build-system"]["requires"]) >.venv/build.txt
	@$(PIP) install -r .venv/build.txt
	@touch $@

# Not isolated and with a build folder that stays, so that a change recompiles only the modules it touches.
# PATH, because the build looks there for cython and ninja.
.venv/.package: .venv/.build $(SOURCES)
	@echo "==> compiling and installing sklearn_mlp"
	@PATH="$(CURDIR)/.venv/bin:$$PATH" $(PIP) install --no-build-isolation \
		--config-settings=build-dir=.venv/meson .
	@touch $@

.venv/.test: .venv/.created pyproject.toml
	@echo "==> installing what the tests need"
	@$(call requirements,["project"]["optional-dependencies"]["test"]) >.venv/test.txt
	@[ -z "$(CI)" ] || $(call requirements,["project"]["optional-dependencies"]["neighbours"]) >>.venv/test.txt
	@$(PIP) install -r .venv/test.txt
	@touch $@

.venv/.lint: .venv/.created pyproject.toml
	@echo "==> installing the linters"
	@$(call requirements,["project"]["optional-dependencies"]["lint"]) >.venv/lint.txt
	@$(PIP) install -r .venv/lint.txt
	@touch $@

.venv/.doc: .venv/.created pyproject.toml
	@echo "==> installing what the site needs"
	@$(call requirements,["project"]["optional-dependencies"]["doc"]) >.venv/doc.txt
	@$(PIP) install -r .venv/doc.txt
	@touch $@
