# What develops this repository. Authors and operators type `.venv/bin/athena-reports`; its --help lists the commands.
#
# Everything runs from a virtual environment in .venv that the first target creates.
# Prerequisites: Python 3.11 to 3.14, and make.

SHELL := /bin/sh
.DEFAULT_GOAL := help
VENV := .venv
PY := $(VENV)/bin/python
# For the demo and the benchmarks; the packages themselves are installed into .venv.
DEV := PYTHONPATH=plugins:cli:local_athena/src:dev $(PY)
READY := $(VENV)/.ready
# Used instead of pip because it unpacks and compiles on all cores. For another index than PyPI, set UV_DEFAULT_INDEX.
UV := $(VENV)/bin/uv

# Container images often set it. Every process of a test run would then compile the same modules again.
unexport PYTHONDONTWRITEBYTECODE

# MWAA's Python first. A name can exist and still fail, such as a version manager's shim, so each one is tried.
# For another one: PYTHON=/path/to/python.
CANDIDATES := $(if $(PYTHON),$(PYTHON),python3.12 python3.13 python3.14 python3.11 python3 python)
USABLE := import sys, venv, ensurepip; assert (3, 11) <= sys.version_info < (3, 15)

.PHONY: help
help: ## List the targets
	@awk 'BEGIN {FS = ":.*## "} /^[a-z][a-z0-9-]*:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# Puts plugins/ on the path of a Python without metadata: an installed athena-reports beside a plugins folder is rejected.
PLUGINS_ON_PATH = echo "$(CURDIR)/plugins" \
	>"$$($(1) -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/athena_reports_plugins.pth"

$(READY): dev/pins/uv.txt dev/pins/dev.txt cli/pyproject.toml local_athena/pyproject.toml
	@for python in $(CANDIDATES); do \
		if $$python -c "$(USABLE)" >/dev/null 2>&1; then found=$$python; break; fi; \
	done; \
	if [ -z "$$found" ]; then \
		echo "No usable Python 3.11 to 3.14 with venv among: $(CANDIDATES)." >&2; \
		echo "Install one (on Debian and Ubuntu with python3-venv), or name it: make PYTHON=/path/to/python" >&2; \
		exit 1; \
	fi; \
	echo "Installing into $(VENV) for $$($$found --version); the first time this takes a minute or two."; \
	rm -rf $(VENV) && $$found -m venv $(VENV)
	@$(PY) -m pip install --quiet --disable-pip-version-check --require-hashes -r dev/pins/uv.txt
	@$(UV) pip install --quiet --python $(PY) --compile-bytecode --require-hashes -r dev/pins/dev.txt
	@$(UV) pip install --quiet --python $(PY) --no-deps --no-build-isolation --editable cli --editable local_athena
	@$(call PLUGINS_ON_PATH,$(PY))
	@touch $@

# The demo's lakes, kept as tables that `athena-reports` finds, as `athena-reports load` keeps them.
LAKES := .lake/.demo

$(LAKES): | $(READY)
	@$(DEV) -m demo.keep
	@touch $@

.PHONY: setup
setup: $(READY) $(LAKES) ## Install all tools, and create the demo's tables for `athena-reports preview` and other commands

.PHONY: demo
demo: $(READY) ## Run both reports in Airflow on local services until they finish
	@$(DEV) -m demo.run

.PHONY: up
up: $(READY) ## Run Airflow with the demo's tables and the Reports page on 127.0.0.1:8080 until stopped (PORT=)
	@$(DEV) -m demo.up $(if $(PORT),--port $(PORT))

# All tests of these folders are marked `ci` or `full`: to leave them out, their modules need not be imported.
SERVICES_TESTS := tests/compatibility tests/services
LONG_TESTS := tests/airflow $(SERVICES_TESTS)

.PHONY: test
test: $(READY) ## Check the reports, lint, and run the short tests (EXAMPLES=many for more examples in property tests)
	@$(VENV)/bin/athena-reports check
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .
	@$(PY) -m pytest $(addprefix --ignore=,$(LONG_TESTS)) -n 2 --dist loadfile -m "not ci and not full" \
		--hypothesis-profile=$(or $(EXAMPLES),few)

# Half a minute of one core the first time, some seconds with mypy's cache.
.PHONY: types
types: $(READY) ## Check types
	@$(VENV)/bin/mypy

# Those of the longer tests that need no packages of Debian.
WITHOUT_DEBIAN := $(SERVICES_TESTS) tests/reports tests/world tests/unit/athena_reports/reports \
	tests/unit/athena_reports/workflows tests/unit/athena_reports/steps tests/unit/athena_reports_cli/authoring \
	tests/unit/athena_reports/test_plugin.py \
	tests/unit/athena_reports_cli/mwaa/test_report_periods.py tests/repository/test_docs.py

.PHONY: test-services
test-services: $(READY) ## Run the longer tests that need no Debian packages
	@$(PY) -m pytest $(WITHOUT_DEBIAN) -n 3 --dist loadfile -m "ci and not full"

# The slowest files come first, and xdist keeps the order (--no-loadscope-reorder): short ones are left for the end, when
# workers run out of files. Only the files that have a test marked `ci`, or one whose lake of flights or plays marks it so
# (tests/conftest.py), are collected.
SLOW_FILES = $(shell grep -rl --include='test_*.py' 'mark\.ci\b' tests/airflow) tests/repository/test_new_project.py \
	tests/unit/athena_reports/page/test_static.py
CI_FILES = $(SLOW_FILES) $(SERVICES_TESTS) $(filter-out $(SLOW_FILES), \
	$(sort $(shell grep -rl --include='test_*.py' 'mark\.ci\b\|ROUNDS\|flights_lake\|plays_lake\|: Flown' tests/reports tests/repository tests/unit tests/world)))

# Three workers on two cores: the tests wait for processes, but more of these at once take longer, since they poll one
# another until they are ready.
.PHONY: test-ci
test-ci: $(READY) ## Run the longer tests; they need the Debian packages postgresql, redis-server, chromium-headless-shell, docker-compose
	@$(PY) -m pytest $(CI_FILES) -n 3 --dist loadfile --no-loadscope-reorder -m "ci and not full" \
		--hypothesis-profile=many

.PHONY: test-nightly
test-nightly: $(READY) ## Run every test in a real Airflow, all tests that CI skips, and property tests with 500 examples
	@$(PY) -m pytest -n 2 --dist loadfile -m "ci or e2e or full or hypothesis" --hypothesis-profile=night
	@$(MAKE) -C local_athena test-full

# Made anew each time, without the lock that `make test` uses: from the newest versions that pyproject.toml allows.
NEWEST := .venv-newest
# PRE=1 takes a pre-release of Airflow, and of no other package.
AIRFLOW_PACKAGES := apache-airflow apache-airflow-core apache-airflow-task-sdk
PRERELEASES := $(if $(PRE),$(patsubst %,--prerelease-package %=allow,$(AIRFLOW_PACKAGES)))

.PHONY: test-newest
test-newest: $(READY) ## Run tests and demo with the newest Airflow and amazon provider, in a separate environment (PRE=1: a pre-release of Airflow)
	@rm -rf $(NEWEST) && $(PY) -m venv $(NEWEST)
	@$(UV) pip install --quiet --python $(NEWEST)/bin/python --compile-bytecode \
		--overrides dev/pins/newest.txt $(PRERELEASES) --requirements requirements.txt --group dev --editable local_athena
	@$(UV) pip install --quiet --python $(NEWEST)/bin/python --no-deps --editable cli
	@$(call PLUGINS_ON_PATH,$(NEWEST)/bin/python)
	@$(UV) pip list --python $(NEWEST)/bin/python | grep -E '^apache-airflow(-providers-amazon)? '
	@$(NEWEST)/bin/python -m pytest -n 3 --dist loadfile -m "not ci and not full"
	@$(NEWEST)/bin/python -m pytest $(WITHOUT_DEBIAN) -n 3 --dist loadfile -m "ci and not full"
	@PYTHONPATH=plugins:cli:local_athena/src:dev $(NEWEST)/bin/python -m demo.run

.PHONY: simulate
simulate: $(READY) ## Simulate seeded worlds of faults and kills: SEEDS=10000 FROM=0, or SEEDS=seed-123 for one with its log
	@AIRFLOW_HOME=$(CURDIR)/.airflow $(DEV) -m tests.world $(or $(SEEDS),10000) $(if $(FROM),--from $(FROM))

.PHONY: bench
bench: $(READY) ## Measure speed and cost, and write dev/bench/results.json (ONLY=<name> for one row)
	@AIRFLOW_HOME=$(CURDIR)/dev/bench/.work/home $(DEV) -m bench $(if $(ONLY),--only $(ONLY))

# setuptools leaves files beside what it builds, and puts those of an earlier build into the wheel. So it builds a copy.
SOURCE := dist/.source
# The address that the wheels name. A fork has another one, so it comes from who publishes them: release.yaml.
REPOSITORY_URL :=

.PHONY: build
build: $(READY) ## Build the three wheels into dist: athena-reports, athena-reports-cli and local-athena
	@rm -rf $(SOURCE) dist/*.whl && mkdir -p $(SOURCE)
	@cp -R LICENSE plugins pyproject.toml requirements.txt requirements-airflow.txt cli local_athena $(SOURCE)
	@find $(SOURCE) -name '*.egg-info' -prune -exec rm -rf {} +
	@cp LICENSE $(SOURCE)/cli && cp LICENSE $(SOURCE)/local_athena
	@for package in . cli local_athena; do \
		if [ -n "$(REPOSITORY_URL)" ]; then \
			printf '\n[project.urls]\nRepository = "%s"\n' '$(REPOSITORY_URL)' >>$(SOURCE)/$$package/pyproject.toml; \
		fi; \
		$(UV) build --quiet --wheel --out-dir dist --no-create-gitignore $(SOURCE)/$$package || exit 1; \
	done
	@rm -rf $(SOURCE)
	@ls dist/*.whl

# No uv.lock: it would hold the address of an index.
LOCK := $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--no-annotate --custom-compile-command 'make lock' $(addprefix --upgrade-package=,$(UPGRADE))

.PHONY: lock
lock: $(READY) ## Update the lock files in dev/pins from pyproject.toml (UPGRADE="duckdb ruff" for newer versions)
	@$(LOCK) --group uv --output-file dev/pins/uv.txt >/dev/null
	@$(LOCK) requirements.txt --group dev --constraint dev/pins/uv.txt --output-file dev/pins/dev.txt >/dev/null

.PHONY: format
format: $(READY) ## Format the code and fix what the linter can
	@$(VENV)/bin/ruff check --fix .
	@$(VENV)/bin/ruff format .

.PHONY: docs
docs: $(READY) ## Generate the reference pages, and build the site in dist/site
	@$(PY) -m pytest --quiet tests/repository/test_generated_pages.py --renew-golden
	@$(MAKE) -C local_athena docs
	@$(DEV) -m website.build

.PHONY: clean
clean: ## Remove everything that the other targets created
	rm -rf $(VENV) $(VENV)-* .airflow .lake demo-output dist dev/bench/.work .pytest_cache .mypy_cache .ruff_cache .hypothesis
	rm -rf cli/*.egg-info local_athena/src/*.egg-info local_athena/.pytest_cache local_athena/.hypothesis
