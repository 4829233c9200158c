# `make demo` and `make test` need Python 3.11 or newer, make and git; they set up .venv themselves.

VENV := .venv
BIN := $(VENV)/bin
SHELL := /bin/sh

.DEFAULT_GOAL := help
.PHONY: help demo test lint docs devices-page pictures bench wheel lambda deploy clean

help: ## Show this help
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/.cli ## A day of water meters in a few seconds, against a cloud of its own
	@$(BIN)/sst-cloud demo

test: $(VENV)/.dev ## Run the test-suite
	$(BIN)/coverage erase
	$(BIN)/pytest --cov --cov-report=term

lint: $(VENV)/.dev ## Style, types and the directions of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy sst_cloud sinks tests benchmarks examples/lambda_timestream
	$(BIN)/lint-imports

docs: $(VENV)/.dev ## Build the documentation into site/
	$(BIN)/mkdocs build --strict --quiet

devices-page: $(VENV)/.dev ## Write the page of supported devices anew
	$(BIN)/python tests/supported_devices.py

pictures: $(VENV)/.dev ## Draw the pictures of the documentation anew
	$(BIN)/python docs/make_pictures.py

bench: $(VENV)/.dev ## Measure what is promised to be fast, as ratios
	$(BIN)/python -m benchmarks

wheel: $(VENV)/.dev ## Build the wheel and the source distribution into dist/
	rm -rf dist
	$(BIN)/python -m build --quiet --outdir dist .

lambda: $(VENV)/.dev ## Build the zip for AWS Lambda (arm64, Python 3.13) into dist/
	@$(BIN)/python examples/lambda_timestream/build.py $(if $(COMPILER),--compiler $(COMPILER))

deploy: lambda ## Build it, and deploy it with the SAM command line, which asks what it must know
	@command -v sam >/dev/null || { echo "The SAM command line is needed: pipx install aws-sam-cli" >&2; exit 1; }
	sam deploy --guided --template-file examples/lambda_timestream/template.yaml

clean: ## Remove what the other commands made
	rm -rf .venv .venv-wheel dist site .coverage* .hypothesis .mypy_cache .pytest_cache .ruff_cache demo.db*

# The first Python on the path that is new enough; PYTHON=… names another.
$(BIN)/python:
	@for python in $(PYTHON) python3 python3.14 python3.13 python3.12 python3.11 python; do \
	  if $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	    echo "Setting up $(VENV) with $$($$python --version) ..."; \
	    exec $$python -m venv $(VENV); \
	  fi; \
	done; \
	echo "Python 3.11 or newer is needed, and none was found; name one: make PYTHON=/path/to/python3 ..." >&2; \
	exit 1

$(VENV)/.cli: $(BIN)/python pyproject.toml
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[cli]'
	@touch $@

$(VENV)/.dev: $(BIN)/python pyproject.toml
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@ $(VENV)/.cli
