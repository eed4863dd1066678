# The words of a developer's day; `make help` lists them, CI calls the same ones.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
MANAGE := $(BIN)/python manage.py
CODE := llmrec_plugin project workers tests benchmarks fixtures manage.py
ADDRESS ?= 127.0.0.1:8000
REDIS_PORT ?= 6390
DATA ?= ../shared/data
# Many tests wait for processes that they started; each worker has its own servers, 2 GB of memory.
WORKERS ?= 3
# Each of the many processes that the tests start would compile the package anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo demo-data run serve-all setup hooks test test-fast test-core test-postgresql test-client9 test-presets wheel matrix mutation lint format types django docs docs-check freeze package messages bench check clean

help: ## List the targets
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-16s %s\n", $$1, $$2}'

$(VENV)/.runtime: requirements.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --requirement requirements.txt
	@touch $@

$(VENV)/.development: requirements.txt requirements-dev.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --requirement requirements-dev.txt
	@touch $(VENV)/.runtime $@

setup: $(VENV)/.development ## Install what developing needs

hooks: $(VENV)/.development ## Check what you commit: format, lint, layers, spelling, reference pages (needs no network)
	$(BIN)/pre-commit install

demo-data: $(VENV)/.runtime
	$(MANAGE) migrate --verbosity 0
	$(MANAGE) load_demo
	$(MANAGE) llmrec build
	$(MANAGE) llmrec train

demo: demo-data ## Shop and school with real data: load, index, show, serve (DEMO_SERVE=0: do not serve)
	$(MANAGE) demo_tour
	@if [ "$${DEMO_SERVE:-1}" != "0" ]; then echo "Serving http://$(ADDRESS)/ (stop with Ctrl-C)"; $(MANAGE) runserver --noreload $(ADDRESS); fi

run: $(VENV)/.runtime ## Serve the demo site as it stands
	$(MANAGE) runserver $(ADDRESS)

serve-all: $(VENV)/.development ## Serve it with Redis, a worker and beat (Procfile); needs redis-server
	@mkdir -p .llmrec
	@PATH="$(CURDIR)/$(BIN):$$PATH" ADDRESS=$(ADDRESS) REDIS_PORT=$(REDIS_PORT) CELERY_BROKER_URL=redis://127.0.0.1:$(REDIS_PORT)/0 CACHE_URL=redis://127.0.0.1:$(REDIS_PORT)/1 $(BIN)/honcho start

test: $(VENV)/.development ## Every test, with a real browser where there is one
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder --cov --cov-report=term:skip-covered --cov-fail-under=90 $(FURTHER)

test-fast: $(VENV)/.development ## The two thirds of them that take a minute together (tests/slow.txt names the others)
	$(BIN)/python -m pytest -q -n 2 --hypothesis-profile fast -m "not model and not browser and not crash and not slow" --ignore-glob="*elasticsearch*" --ignore tests/attached

test-core: $(VENV)/.development ## The pure core, every branch of it
	$(BIN)/python -m pytest tests/core -q --cov=llmrec_plugin.ranking --cov=llmrec_plugin.learning --cov=llmrec_plugin.evaluation --cov=llmrec_plugin.experiments --cov-report=term-missing:skip-covered --cov-fail-under=100

ON_POSTGRESQL := $(patsubst %,tests/services/%,indexing/test_sync.py indexing/test_sync_failures.py indexing/test_build.py indexing/test_audit.py deployment/test_search_promotion.py interactions privacy/test_privacy.py import_export/test_importing.py search/test_search.py training/test_training.py monitoring/test_status.py experiments reporting/test_dashboard.py search_quality/test_judging.py) tests/site/test_related.py $(patsubst %,tests/api/test_%.py,fuzz interactions me) tests/admin/test_admin.py

test-postgresql: $(VENV)/.development ## What reads and writes rows, on PostgreSQL
	$(BIN)/python -m pytest -q --ds=tests.settings_postgresql -m "not model and not crash" $(ON_POSTGRESQL)

.client9/%/.installed: requirements-client9.txt $(VENV)/.development
	@mkdir -p $(@D)
	$(BIN)/python -m pip install --quiet --upgrade --target $(@D) --no-deps --requirement requirements-client9.txt $(EXTRA)
	@touch $@

.client9/dsl/.installed: EXTRA = elasticsearch==9.3.0 django-elasticsearch-dsl==9.0
.client9/newest/.installed: EXTRA = elasticsearch==9.5.1

ON_ELASTICSEARCH := tests/contracts/test_backend_elasticsearch.py $(patsubst %,tests/services/indexing/test_elasticsearch_%.py,indexes services) $(patsubst %,tests/services/search/test_elasticsearch_%.py,requests security) tests/attached
WITH_DSL := tests/attached/test_django_elasticsearch_dsl.py

test-client9: .client9/newest/.installed .client9/dsl/.installed ## What speaks to Elasticsearch, with clients of series 9 (4 minutes)
	PYTHONPATH=.client9/newest $(BIN)/python -m pytest -q $(ON_ELASTICSEARCH) --ignore $(WITH_DSL)
	PYTHONPATH=.client9/dsl $(BIN)/python -m pytest -q $(WITH_DSL)

.presets/%/.installed: tests/presets/%.txt $(VENV)/.development
	@mkdir -p $(@D)
	$(BIN)/python -m pip install --quiet --upgrade --target $(@D) --no-deps --requirement $<
	@touch $@

test-presets: .presets/oscar/.installed .presets/wagtail/.installed ## docs/presets.md against django-oscar and Wagtail (1 minute)
	PYTHONPATH=.presets/oscar $(BIN)/python -m pytest -q tests/presets/presets.py -k oscar
	PYTHONPATH=.presets/wagtail $(BIN)/python -m pytest -q tests/presets/presets.py -k wagtail

PAIRS := $(patsubst tests/matrix/pairs/%.txt,%,$(wildcard tests/matrix/pairs/*.txt))
# What may answer otherwise on another Python or Django; servers, models and long calculations are those of `make test`.
ON_PAIRS := tests/core tests/contracts tests/api tests/admin tests/services/indexing tests/services/interactions/test_receivers.py $(patsubst %,tests/site/test_%.py,commands django_tasks registration related schedule shortcuts template_tags)
NOT_ON_PAIRS := *elasticsearch*.py *fuzz.py */selection/test_stepwise.py */core/experiments/test_analysis.py

matrix: $(VENV)/.development ## Further pairs of Python and Django: tests, and a site with the wheel (9 minutes)
	@$(MAKE) --no-print-directory --jobs 3 --output-sync $(PAIRS:%=matrix-%)

matrix-%: wheel
	@$(BIN)/python -m tests.matrix $* --wheel build/dist/*.whl $(ON_PAIRS) $(NOT_ON_PAIRS:%=--ignore-glob='%')

ANSWERING := search recommendations serving
TESTS_OF_ANSWERS := $(ANSWERING:%=tests/services/%) $(patsubst %,tests/services/%.py,curation/test_rules curation/test_placements experiments/test_experiments inference/test_reranking inference/test_warm_up deployment/test_search_promotion interactions/test_history) tests/services/profiles $(patsubst %,tests/api/test_%.py,search recommendations suggest filters experiments)

mutation: $(VENV)/.development ## Which small faults no test notices: all in the pure core, 200 in the services that answer (an hour)
	$(BIN)/python -m tests.mutation llmrec_plugin/ranking llmrec_plugin/evaluation llmrec_plugin/experiments
	$(BIN)/python -m tests.mutation $(ANSWERING:%=llmrec_plugin/services/%) --sample 200 --tests $(TESTS_OF_ANSWERS) -- -m "not model and not browser and not crash" --ignore-glob="*elasticsearch*"

lint: $(VENV)/.development ## Format, lint, layers and spelling
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/ruff check $(CODE)
	$(BIN)/lint-imports
	$(BIN)/typos

format: $(VENV)/.development ## Format the code
	$(BIN)/ruff format $(CODE)
	$(BIN)/ruff check --fix $(CODE)

types: $(VENV)/.development ## Check the types
	$(BIN)/mypy llmrec_plugin project workers tests benchmarks

django: $(VENV)/.development ## System checks and migrations
	$(MANAGE) check --fail-level WARNING
	$(MANAGE) makemigrations --check --dry-run

docs: $(VENV)/.development ## Write the generated reference pages
	$(BIN)/python docs/generate.py

docs-check: $(VENV)/.development ## Fail where the reference pages are not what the code says
	$(BIN)/python docs/generate.py --check

messages: $(VENV)/.development ## Collect and compile the translations
	cd llmrec_plugin && ../$(BIN)/python ../manage.py makemessages -l zh_Hans --no-location && ../$(BIN)/python ../manage.py compilemessages
	cd project && ../$(BIN)/python ../manage.py makemessages -l zh_Hans --no-location && ../$(BIN)/python ../manage.py compilemessages

freeze: $(VENV)/.development ## Before a release: hashes of its migrations, and a filled database that later ones upgrade
	$(BIN)/python -m tests.migrations

wheel: $(VENV)/.development
	@rm -rf build
	@$(BIN)/python -m build --outdir build/dist . > /dev/null

package: wheel ## Build sdist and wheel, and a site on the wheel in an environment without extras
	$(BIN)/python -m tests.support.distribution build/dist
	$(PYTHON) -m venv --clear build/bare
	build/bare/bin/python -m pip install --quiet build/dist/*.whl
	cd build && bare/bin/python ../tests/bare_site.py --bare

bench: $(VENV)/.development ## Quality, speed and memory; DATA names the folder of the data sets
	$(BIN)/python -m benchmarks --data $(DATA)

check: setup ## All that CI runs
	@$(MAKE) --no-print-directory --jobs 3 --output-sync lint types django docs-check package test-core test-postgresql
	@$(MAKE) --no-print-directory test FURTHER="--ignore=tests/core --cov-append"  # the core was tested by itself

clean: ## Remove the demo's database and indexes
	rm -rf db.sqlite3 db.sqlite3-wal db.sqlite3-shm .llmrec
