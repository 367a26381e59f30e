# make quickstart   install into VENV, make the embedded data set, train, test and compare models
# make test         install into VENV, lint, type-check, test
# make test-slow    the tests that take minutes each: sweeps over real clips, kills at random moments
# make docs         build the documentation with the API into build/site
# make test-oldest  the tests of `make test` with the lowest versions that pyproject.toml admits
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: quickstart test test-slow test-oldest check docs clean
.DEFAULT_GOAL := test

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch $@

quickstart: $(VENV)/.installed
	PATH="$(abspath $(BIN)):$$PATH" scripts/quickstart

check: $(VENV)/.installed
	PATH="$(abspath $(BIN)):$$PATH" scripts/check

test: check
	$(BIN)/pytest --numprocesses 2 -m 'not slow'

test-slow: $(VENV)/.installed
	$(BIN)/pytest --numprocesses 2 -m slow

docs: $(VENV)/.installed
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[docs]'
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict --config-file scripts/mkdocs.yml
	@echo "open build/site/index.html, or serve the folder to search it: python -m http.server --directory build/site"

$(VENV)-oldest/.installed: pyproject.toml constraints-oldest.txt
	$(PYTHON) -m venv $(VENV)-oldest
	$(VENV)-oldest/bin/pip install --quiet --disable-pip-version-check --constraint constraints-oldest.txt \
		--editable '.[dev]'
	touch $@

test-oldest: $(VENV)-oldest/.installed
	$(VENV)-oldest/bin/pytest --numprocesses 2 -m 'not slow'

clean:
	rm -rf $(VENV) $(VENV)-oldest build *.egg-info .pytest_cache .ruff_cache .hypothesis
