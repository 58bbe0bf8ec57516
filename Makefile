# How to run, test and check Relais. `make` alone says what there is.

PYTHON := .venv/bin/python
PACKAGES := shared services/directory services/referral services/gateway deploy clients/python
PYPROJECTS := $(addsuffix /pyproject.toml,$(PACKAGES))

# A demonstration unless told otherwise: RELAIS_DEMO=0 make run
export RELAIS_DEMO ?= 1
# Nothing of another Python leaks into ours.
unexport PYTHONPATH PYTHONHOME
export PYTHONNOUSERSITE := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help
help: ## Say what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-23s %s\n", $$1, $$2 }' Makefile

.PHONY: run
run: .venv/installed ## Start everything (with the demonstration territory) until Ctrl-C
	@exec $(PYTHON) -m relais_local up

.PHONY: test
test: .venv/installed chromium ## Run all tests, on a real PostgreSQL and in a real browser; ARGS="-k word" chooses
	@# A file's tests stay together and share what they set up; each process runs a Relais of its own: one more than there
	@# are cores, for many tests wait. The longest files begin (testpaths): not those of the most tests.
	$(PYTHON) -m pytest --numprocesses $$(($$(getconf _NPROCESSORS_ONLN) + 1)) --maxprocesses 4 --dist loadfile --no-loadscope-reorder $(ARGS)

.PHONY: check
check: .venv/installed ## Check style, types, import contracts, generated files: all of them, every failure told
	@$(MAKE) --keep-going --no-print-directory check-style check-format check-types check-imports check-generated

.PHONY: check-style check-format check-types check-imports check-generated
check-style: .venv/installed
	$(PYTHON) -m ruff check .

check-format: .venv/installed
	$(PYTHON) -m ruff format --check .

# One by one: each package is checked as it is installed alone.
check-types: .venv/installed
	@failed=0; for package in shared/relais_shared services/*/relais_* deploy/relais_local clients/python/relais_client; do \
	  echo "mypy $$package"; $(PYTHON) -m mypy "$$package" || failed=1; done; exit $$failed

check-imports: .venv/installed
	.venv/bin/lint-imports

# The diagram of the handshake's states is printed from the rule table.
check-generated: .venv/installed
	$(PYTHON) -m relais_referral diagram --check

.PHONY: check-generated-clients
check-generated-clients: .venv/installed ## Hand a person over with generated clients, Python and TypeScript (needs the network)
	$(PYTHON) -m pytest clients/generated -v

.PHONY: fuzz
fuzz: .venv/installed ## Try the whole API with many requests made by chance
	RELAIS_EXAMPLES=$${RELAIS_EXAMPLES:-50} $(PYTHON) -m pytest tests/journeys/test_fuzz.py

.PHONY: bench bench-directory bench-referral bench-gateway bench-events bench-pages
bench: bench-directory bench-referral bench-gateway bench-events bench-pages ## Measure everything, as ratios inside one run
bench-directory: .venv/installed ## Measure the search
	$(PYTHON) services/directory/bench
bench-referral: .venv/installed ## Measure the steps of the handshake
	$(PYTHON) services/referral/bench
bench-gateway: .venv/installed ## Measure the forwarding
	$(PYTHON) services/gateway/bench
bench-events: .venv/installed ## Measure how soon events reach a receiver
	$(PYTHON) services/referral/bench/events.py
bench-pages: .venv/installed chromium ## Measure what pages weigh, and when they can be used on a slow line
	$(PYTHON) services/gateway/bench/pages.py

.PHONY: screenshots
screenshots: .venv/installed chromium ## Draw docs/screenshots anew, from a demonstration of its own
	cd tests && ../$(PYTHON) -m support.screenshots

.PHONY: lock
lock: .venv/installed ## Choose the newest versions that fit, with hashes (needs the network)
	$(PYTHON) -m uv pip compile pyproject.toml --group dev --python-version 3.11 --universal --generate-hashes \
	  --upgrade --no-annotate --no-header --no-emit-index-url $(addprefix --no-emit-package relais-,shared directory \
	  referral gateway local client) -o requirements.lock

.PHONY: clean
clean: ## Remove the environment and caches; the data in var/ stay
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# An environment knows its own path: one that was copied or moved is made anew.
ifneq ($(shell cat .venv/installed 2>/dev/null),$(shell pwd))
.PHONY: .venv/installed
endif
.venv/installed: requirements.lock $(PYPROJECTS)
	@[ "$$(cat .venv/installed 2>/dev/null)" = "$$(pwd)" ] || rm -rf .venv
	@# The first of the usual names, anywhere on the path, that really runs: a name may be an empty shim.
	@[ -x $(PYTHON) ] || { \
	  IFS=:; for name in python3 python3.11 python3.12 python3.13 python3.14 python; do for folder in $$PATH /usr/bin; do \
	    python="$$folder/$$name"; [ -x "$$python" ] || continue; \
	    "$$python" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue; \
	    echo "making .venv with $$python"; exec "$$python" -m venv .venv; \
	  done; done; \
	  echo "Relais needs Python 3.11 or newer with venv (Debian: apt-get install python3-venv)." >&2; exit 1; }
	@echo "installing what requirements.lock names (once)"
	@# The lock names everything: nothing is left to resolve, so a release of tomorrow changes nothing.
	@$(PYTHON) -m pip install --quiet --no-deps --require-hashes --requirement requirements.lock
	@$(PYTHON) -m pip install --quiet --no-deps --no-build-isolation $(addprefix --editable ./,$(PACKAGES))
	@# Compiled and described now, so that the first start does not wait for it.
	@$(PYTHON) -m compileall -q $(PACKAGES)
	@$(PYTHON) -m relais_local.documents
	@pwd > .venv/installed

.PHONY: chromium
chromium:
	@found() { command -v chromium || command -v chromium-browser || command -v google-chrome; } > /dev/null; \
	if ! found && [ "$$(id -u)" = 0 ] && command -v apt-get > /dev/null; then \
	  echo "installing Chromium"; export DEBIAN_FRONTEND=noninteractive; \
	  { apt-get update -qq && apt-get install -qq --no-install-recommends chromium; } > /dev/null; \
	fi; \
	found || echo "There is no Chromium here, and none could be installed: the browser tests cannot run." >&2
