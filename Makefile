# Everything runs from a virtual environment in .venv that the first target creates.
# Needed beforehand: Python 3.11, 3.12 or 3.13 and make.

SHELL := /bin/sh
.DEFAULT_GOAL := help
VENV := .venv
# The SAM CLI and checkov ask for other versions of boto3 than Airflow and each other: each has an environment alone.
SAM := .venv-deploy/.ready
CHECKOV := .venv-checkov/.ready
PY := $(VENV)/bin/python
PATHS := plugins:cli:local_athena/src:dev
DEV := PYTHONPATH=$(PATHS) $(PY)
# The command line of the library, as `athena-reports` is where it is installed.
REPORTS := $(DEV) -m athena_reports_cli
READY := $(VENV)/.ready
# In place of pip, since it unpacks and compiles on all cores. To use another index than PyPI, set UV_DEFAULT_INDEX.
UV := $(VENV)/bin/uv
PORT ?= 4566

# Images of containers often set it. Every process of a test run would then compile the same modules again.
unexport PYTHONDONTWRITEBYTECODE

# MWAA's Python first. A name can exist and still fail, such as a version manager's shim: each is tried.
# Try another one with PYTHON=/path/to/python.
CANDIDATES := $(if $(PYTHON),$(PYTHON),python3.12 python3.13 python3.11 python3 python)
USABLE := import sys, venv, ensurepip; assert (3, 11) <= sys.version_info < (3, 14)

.PHONY: help
help: ## List the commands
	@awk 'BEGIN {FS = ":.*## "} /^[a-z][a-z0-9-]*:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(READY): dev/pins/uv.txt dev/pins/dev.txt
	@for python in $(CANDIDATES); do \
		if $$python -c "$(USABLE)" >/dev/null 2>&1; then found=$$python; break; fi; \
	done; \
	if [ -z "$$found" ]; then \
		echo "No usable Python 3.11, 3.12 or 3.13 with venv among: $(CANDIDATES)." >&2; \
		echo "Install one (on Debian and Ubuntu with python3-venv), or name it: make PYTHON=/path/to/python" >&2; \
		exit 1; \
	fi; \
	echo "Installing into $(VENV) for $$($$found --version); the first time this takes a minute or two."; \
	rm -rf $(VENV) && $$found -m venv $(VENV)
	@$(PY) -m pip install --quiet --disable-pip-version-check --require-hashes -r dev/pins/uv.txt
	@$(UV) pip install --quiet --python $(PY) --compile-bytecode --require-hashes -r dev/pins/dev.txt
	@touch $@

$(SAM): dev/pins/deploy.txt
$(CHECKOV): dev/pins/checkov.txt
$(SAM) $(CHECKOV): | $(READY)
	@rm -rf $(@D) && $(PY) -m venv --without-pip $(@D)
	@$(UV) pip install --quiet --python $(@D)/bin/python --require-hashes -r $<
	@touch $@

.PHONY: setup
setup: $(READY) $(SAM) $(CHECKOV) ## Install what the commands below need

.PHONY: demo
demo: $(READY) ## Run both reports in Airflow on local services, to their end
	@$(DEV) -m demo.run

.PHONY: check
check: $(READY) ## Hold the reports against their rules, in seconds: what an author runs
	@$(REPORTS) check

.PHONY: golden
golden: $(READY) ## Renew the rendered SQL in tests/reports, then check
	@$(REPORTS) check --renew

.PHONY: test
test: check ## Prove the package: check, lint, types and tests
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .
	@# The first time, mypy takes one core for half a minute: the tests go on beside it.
	@$(VENV)/bin/mypy & types=$$!; \
	$(PY) -m pytest -n 2 --dist loadfile -m "not ci and not full"; tests=$$?; \
	wait $$types || { echo "mypy has found errors: they stand before the tests." >&2; exit 1; }; \
	exit $$tests

.PHONY: simulate
simulate: $(READY) ## Play seeded worlds of faults and kills: SEEDS=10000 FROM=0, or SEEDS=seed-123 for one and its story
	@AIRFLOW_HOME=$(CURDIR)/.airflow $(DEV) -m tests.world $(or $(SEEDS),10000) $(if $(FROM),--from $(FROM))

# Their tests run against the local services as a process. tests/conftest.py marks them `ci`.
SERVICES_TESTS := tests/services tests/compatibility tests/services/commands

.PHONY: test-services
test-services: $(READY) ## Run the part of test-ci that needs nothing of Debian: commands and tasks on the local services
	@$(PY) -m pytest $(SERVICES_TESTS) -n 3 --dist loadfile -m "not full"

# The slowest folders come first, and xdist keeps the order (--no-loadscope-reorder). Of other folders, only the files that
# have a test marked `ci` are collected.
CI_FILES = tests/airflow \
	$(sort $(shell grep -rl --include='test_*.py' 'mark\.ci\b' tests/unit tests/repository tests/dev)) \
	$(SERVICES_TESTS)

# Three workers on two cores: the tests wait for processes, but more of these at once take longer, since they ask one
# another whether they are ready.
.PHONY: test-ci
test-ci: $(READY) $(SAM) $(CHECKOV) ## Run the longer tests: they need Debian's postgresql, redis-server, chromium-headless-shell, docker-compose
	@$(PY) -m pytest $(CI_FILES) -n 3 --dist loadfile --no-loadscope-reorder -m "ci and not full"

.PHONY: test-e2e
test-e2e: $(READY) ## Run every end-to-end test in a real Airflow, and all other tests that CI leaves out
	@$(PY) -m pytest -n 2 --dist loadfile -m "e2e or full"

# Made anew each time, without the lock that `make test` uses: from the newest versions that pyproject.toml allows.
NEWEST := .venv-newest

.PHONY: test-newest
test-newest: $(READY) ## Run tests and demo with the newest Airflow and amazon provider, in an environment of their own
	@rm -rf $(NEWEST) && $(PY) -m venv --without-pip $(NEWEST)
	@$(UV) pip install --quiet --python $(NEWEST)/bin/python --compile-bytecode \
		--overrides dev/pins/newest.txt --requirements requirements.txt --group dev
	@$(UV) pip list --python $(NEWEST)/bin/python | grep -E '^apache-airflow(-providers-amazon)? '
	@$(NEWEST)/bin/python -m pytest -n 3 --dist loadfile -m "not ci and not full"
	@$(NEWEST)/bin/python -m pytest $(SERVICES_TESTS) -n 3 --dist loadfile -m "not full"
	@PYTHONPATH=$(PATHS) $(NEWEST)/bin/python -m demo.run

.PHONY: test-wheels
test-wheels: $(READY) ## Walk a new project with the built wheels and the newest packages that they allow
	@INSTALL_NEWEST=1 $(PY) -m pytest tests/repository/test_new_project.py -m "ci and not full"

.PHONY: up
up: $(READY) ## Run Airflow with the lakes and the Reports page on 127.0.0.1:8080 until stopped (SHELL_CONNECTIONS=1)
	@$(DEV) -m demo.up --port $(if $(filter-out 4566,$(PORT)),$(PORT),8080) $(if $(call is_said,SHELL_CONNECTIONS),--shell-connections)

# The demo's lakes, as tables that commands find like those of `make load`.
LAKES := .lake/.demo

$(LAKES): | $(READY)
	@$(DEV) -m demo.keep
	@touch $@

.PHONY: report
report: $(READY) ## Write a new report with its first case: NAME=best_users (asks for the rest, or takes NEW='--table ...')
	@$(REPORTS) new '$(NAME)' $(NEW)

.PHONY: load
load: $(READY) ## Load a file into a local table: TABLE=arrivals FILE=arrivals.csv TIME=time_hour KEY=dt ZONE=UTC
	@$(REPORTS) load '$(TABLE)' '$(FILE)' $(if $(TIME),--time '$(TIME)') $(if $(KEY),--key '$(KEY)') $(if $(ZONE),--zone '$(ZONE)')

# What pays or overwrites is said by a 1 after make. A variable of the shell is none, and neither is NO or 0.
is_said = $(and $(findstring command,$(origin $(1))),$(filter 1,$($(1))))

.PHONY: preview
preview: $(READY) $(LAKES) ## Show what a period queries, reads and costs: REPORT=user_ranking PERIOD=2025-06-22 RUN=1
	@$(REPORTS) preview '$(REPORT)' $(PERIOD) $(if $(call is_said,RUN),--run)

.PHONY: plan
plan: $(READY) $(LAKES) ## Show what an edited report would change: REPORT=user_ranking LAST=3 YES=1 APPLY=mwaa:NAME
	@$(REPORTS) plan '$(REPORT)' $(if $(LAST),--last $(LAST)) $(if $(call is_said,YES),--yes) $(if $(APPLY),--apply '$(APPLY)')

.PHONY: backfill
backfill: $(READY) ## Run past periods in the Airflow of make up: REPORT=user_ranking FROM=2025-06-01 TO=2025-06-30 YES=1 AIRFLOW=mwaa:NAME
	@$(REPORTS) backfill '$(REPORT)' --from '$(FROM)' --to '$(TO)' $(if $(AIRFLOW),--airflow '$(AIRFLOW)') $(if $(call is_said,YES),--yes)

.PHONY: costs
costs: $(READY) ## Show what reports scanned and cost by month: REPORT=user_ranking MONTHS=3
	@$(REPORTS) costs $(if $(REPORT),'$(REPORT)') $(if $(MONTHS),--months '$(MONTHS)')

.PHONY: cases
cases: $(READY) ## Run the cases of tests/reports on the local Athena: REPORT=user_ranking/ties ACCEPT=1
	@$(REPORTS) test $(REPORT) $(if $(call is_said,ACCEPT),--accept)

.PHONY: local-aws
local-aws: $(READY) ## Serve S3, Glue and Athena on 127.0.0.1:4566 until stopped (PORT= to change)
	@$(DEV) -m local_athena serve --port $(PORT)

# ENV only from the command line: shells have a variable of that name for something else.
ENVIRONMENT := $(if $(findstring command,$(origin ENV)),$(ENV),prd)

.PHONY: bundle
bundle: $(READY) ## Build what Amazon MWAA takes, into dist/mwaa (ENV=dev, stg or prd; prd)
	@$(REPORTS) bundle --env '$(ENVIRONMENT)'

DEPLOYS := $(firstword $(filter deploy deploy-guided,$(MAKECMDGOALS)))
ifneq ($(DEPLOYS),)
ifneq ($(origin ENV),command line)
$(error Name the environment: make $(DEPLOYS) ENV=stg)
endif
# Any other value could be meant as a no, and a variable of the shell for something else.
ifneq ($(filter-out undefined|,$(origin DRY_RUN)|$(DRY_RUN)),)
ifneq ($(origin DRY_RUN)|$(DRY_RUN),command line|1)
$(error DRY_RUN is '$(DRY_RUN)', from the $(origin DRY_RUN): write DRY_RUN=1 after make, or leave it out)
endif
endif
endif
# CHECK only from the command line, like ENV: a variable of the shell may mean something else.
NO_CHECK := $(if $(findstring command,$(origin CHECK)),$(filter no,$(CHECK)))
DEPLOY := $(REPORTS) deploy --env '$(ENVIRONMENT)' $(if $(NO_CHECK),--no-check)

.PHONY: deploy-guided
deploy-guided: $(READY) $(SAM) $(LAKES) ## Ask where an environment is deployed to, remember it, and create it (ENV=stg)
	@$(DEPLOY) --guided

.PHONY: deploy
deploy: $(READY) $(SAM) $(LAKES) ## Deploy to Amazon MWAA (ENV=stg, DRY_RUN=1, CHECK=no)
	@$(DEPLOY) $(if $(DRY_RUN),--dry-run)

ifeq ($(filter mwaa-check,$(MAKECMDGOALS))$(VERSION),mwaa-check)
$(error Name the version of Airflow: make mwaa-check VERSION=3.3.1)
endif

.PHONY: mwaa-check
mwaa-check: $(READY) $(LAKES) ## Run the bundle in a twin of MWAA's image (VERSION=3.3.1 or newest, CONSTRAINTS=)
	@$(REPORTS) mwaa-check --env '$(ENVIRONMENT)' --version '$(VERSION)' --constraints '$(CONSTRAINTS)' \
		--python '$(PYTHON)'

# setuptools leaves files beside what it builds, and takes those of an earlier build into the wheel. So it gets a copy.
SOURCE := dist/.source

.PHONY: build
build: $(READY) ## Build both wheels into dist: athena-reports and local-athena
	@rm -rf $(SOURCE) dist/*.whl && mkdir -p $(SOURCE)
	@cp -R LICENSE dev/local_athena plugins pyproject.toml requirements.txt requirements-airflow.txt $(SOURCE)
	@cp LICENSE $(SOURCE)/local_athena
	@$(UV) build --quiet --wheel --out-dir dist --no-create-gitignore $(SOURCE)
	@$(UV) build --quiet --wheel --out-dir dist --no-create-gitignore $(SOURCE)/local_athena
	@rm -rf $(SOURCE)
	@ls dist/*.whl

.PHONY: bench
bench: $(READY) ## Measure speed and cost (ONLY=<name> for one row), into dev/bench/results.json
	@AIRFLOW_HOME=$(CURDIR)/dev/bench/.work/home $(DEV) -m bench $(if $(ONLY),--only $(ONLY))

# No uv.lock: it would hold the address of an index.
LOCK := $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--no-annotate --custom-compile-command 'make lock' $(addprefix --upgrade-package=,$(UPGRADE))

.PHONY: lock
lock: $(READY) ## Renew the locks in dev/pins from the groups of pyproject.toml (UPGRADE="duckdb ruff" for newer versions)
	@for group in uv bench deploy checkov; do \
		$(LOCK) --group $$group --output-file dev/pins/$$group.txt >/dev/null || exit 1; \
	done
	@$(LOCK) requirements.txt --group dev --constraint dev/pins/uv.txt --output-file dev/pins/dev.txt >/dev/null
	@$(LOCK) requirements.txt --group local --constraint dev/pins/dev.txt --output-file dev/pins/local.txt >/dev/null

.PHONY: format
format: $(READY) ## Format the code and repair what the linter can
	@$(VENV)/bin/ruff check --fix .
	@$(VENV)/bin/ruff format .

.PHONY: clean
clean: ## Remove everything that the other commands created
	rm -rf $(VENV) $(VENV)-* .airflow .lake demo-output dist dev/bench/.work .pytest_cache .mypy_cache .ruff_cache .hypothesis
