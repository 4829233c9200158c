# `make demo` and `make test` need Python 3.11 or newer, make and git; they set up .venv themselves.

VENV := .venv
BIN := $(VENV)/bin
SHELL := /bin/sh

.DEFAULT_GOAL := help
.PHONY: help demo dev hooks servers quick test soak lint docs docs-serve devices-page stubs signatures notebooks pictures bench wheel test-wheel test-floors test-newest image lambda deploy clean

# One process per core; the tests of a file stay together, as they share fixtures.
# Their order is set by tests/conftest.py.
PYTEST := pytest -n auto --dist loadfile --no-loadscope-reorder
# fail_under counts lines and branches together, and there are more lines.
BRANCHES := import json, sys; totals = json.load(sys.stdin)["totals"]; \
  share = totals["covered_branches"] / totals["num_branches"]; \
  sys.exit(share < 0.95 and f"{share:.1%} of the branches are covered, less than 95 %")
# The wheel is installed with its dependencies only; test dependencies are borrowed from .venv. The
# project's own package in .venv comes after the wheel on the path, so it is not used.
WHEEL := .venv-wheel/bin
# The same with old packages; but not all plugins in .venv work with them.
FLOORS := .venv-floors/bin
PACKAGES := import sysconfig; print(sysconfig.get_path("purelib"))
# In the folder of tools/newest_python, where each clone has its own.
NEWEST := /venv$(CURDIR)
# The tests start many programs, each of which would compile the package again.
unexport PYTHONDONTWRITEBYTECODE
# Their output is buffered, as it is for most users.
unexport PYTHONUNBUFFERED

help: ## Show this help
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/.cli ## Simulate a day of water meters in a few seconds, against a fake cloud
	@$(BIN)/sst-cloud demo

dev: $(VENV)/.dev ## Set up .venv for development

hooks: $(VENV)/.dev ## Install git hooks that format and check commits, and lint pushes
	$(BIN)/pre-commit install

servers: ## Install the servers needed by some tests, as root, on Debian 12
	.ci/install-servers

quick: $(VENV)/.dev ## Run most tests, briefly: an answer in under a minute on two quiet cores
	$(BIN)/$(PYTEST) -q --hypothesis-profile=brief -m 'not slow and not not_quick' \
	  --ignore tests/deploy --ignore tests/docs --ignore tests/typed

test: $(VENV)/.dev ## Run the test suite; ARGS="tests/sinks -k csv" runs part of it
ifdef ARGS
	$(BIN)/pytest $(ARGS)
else
	$(BIN)/coverage erase
	$(BIN)/$(PYTEST) --cov --cov-report=term
	@$(BIN)/coverage json --quiet -o - | $(BIN)/python -c '$(BRANCHES)'
endif

soak: $(VENV)/.dev ## Kill what stores readings, and meet hostile answers, by the thousand: about an hour
	$(BIN)/pytest -rP --show-capture=stdout --kill-rounds 1000 tests/collector/test_kill.py
	$(BIN)/pytest -rP --show-capture=stdout --hostile-answers 200000 tests/cloud/test_hostile.py

lint: $(VENV)/.dev ## Check style, types and the direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy sst_cloud sinks tests benchmarks examples/lambda_timestream tools docs
	$(BIN)/mypy examples/third_party_sink/src
	$(BIN)/mypy examples/third_party_source/src
	$(BIN)/lint-imports

docs: $(VENV)/.dev ## Build the documentation in site/index.html
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

docs-serve: docs ## Build the documentation, and serve it at http://127.0.0.1:8000 with working search
	$(BIN)/python -m http.server --bind 127.0.0.1 --directory site 8000

devices-page: $(VENV)/.dev ## Regenerate the page of supported devices
	PYTHONPATH=tests $(BIN)/python tools/supported_devices.py

stubs: $(VENV)/.dev ## Regenerate the type stubs of packages that import on first use
	$(BIN)/python tools/stubs.py

signatures: $(VENV)/.dev ## Regenerate the listing of the public API
	$(BIN)/python tools/public_signatures.py

notebooks: $(VENV)/.dev ## Run the example notebooks, and update their output
	$(BIN)/python tools/run_notebooks.py

pictures: $(VENV)/.dev ## Regenerate the pictures in the documentation
	$(BIN)/python tools/make_pictures.py

bench: $(VENV)/.dev ## Run the benchmarks, and print ratios
	$(BIN)/python -m benchmarks

wheel: $(VENV)/.dev ## Build the source distribution and the wheel into dist/, and check both
	rm -rf dist
	$(BIN)/python -m build --no-isolation --quiet --outdir dist . >/dev/null
	$(BIN)/check-wheel-contents dist/*.whl
	$(BIN)/twine --no-color check --strict dist/*

test-wheel: ## Test the wheel in dist/, installed into .venv-wheel
	@test -e dist/*.whl || { echo "There is no wheel in dist/; run: make wheel" >&2; exit 1; }
	rm -rf .venv-wheel
	$(BIN)/python -m venv .venv-wheel
	$(WHEEL)/python -m pip install --quiet --disable-pip-version-check --no-compile dist/*.whl
	cd .venv-wheel && bin/python -c 'import sst_cloud; [getattr(sst_cloud, name) for name in sst_cloud.__all__]'
	$(BIN)/python -c '$(PACKAGES)' >"$$($(WHEEL)/python -c '$(PACKAGES)')/lent.pth"
	$(WHEEL)/python -m pip install --quiet --disable-pip-version-check --no-compile "$$(echo dist/*.whl)[test]"
	$(WHEEL)/python -m pip check
	cd .venv-wheel && bin/python -m $(PYTEST) -c ../pyproject.toml --rootdir .. -p no:cacheprovider \
	  --installed --hypothesis-profile=brief --kill-rounds 20 ../tests

test-floors: $(VENV)/.dev ## Test with the oldest versions of the dependencies allowed
	rm -rf .venv-floors
	$(BIN)/python -m venv .venv-floors
	$(FLOORS)/python -m pip install --quiet --disable-pip-version-check --no-compile $$($(BIN)/python tools/lowest_versions.py)
	$(FLOORS)/python -m pip install --quiet --disable-pip-version-check --no-compile --no-deps --editable .
	$(FLOORS)/python -m pip check
	$(FLOORS)/sst-cloud demo
	$(BIN)/python -c '$(PACKAGES)' >"$$($(FLOORS)/python -c '$(PACKAGES)')/lent.pth"
	PYTEST_DISABLE_PLUGIN_AUTOLOAD=1 $(FLOORS)/python -m pytest -q -p no:cacheprovider \
	  -p pytest_asyncio.plugin -p pytest_cov.plugin tests/cloud tests/cli tests/sinks

test-newest: ## Test with the newest Python, in a folder with Debian sid; as root, on Linux
	tools/newest_python $(MAKE) VENV=$(NEWEST) servers $(NEWEST)/.dev
	tools/newest_python env CI=true $(NEWEST)/bin/$(PYTEST)

image: ## Build the Docker image, and test it with a fake cloud; needs Docker
	.ci/test-image

lambda: $(VENV)/.dev ## Build the zip for AWS Lambda (arm64, Python 3.13) into dist/
	@$(BIN)/python examples/lambda_timestream/build.py $(if $(COMPILER),--compiler $(COMPILER))

deploy: lambda ## Build the zip and deploy it with the SAM CLI, which asks for the settings
	@command -v sam >/dev/null || { echo "The SAM CLI is not installed: pipx install aws-sam-cli" >&2; exit 1; }
	sam deploy --guided --template-file examples/lambda_timestream/template.yaml

clean: ## Remove everything created by the other commands
	rm -rf .venv .venv-wheel .venv-floors dist site .coverage* .hypothesis .*_cache demo.db*

# The first Python on the path that is new enough; PYTHON=… overrides it.
# On Debian without python3-venv, half a venv is left behind, which must not count as one.
$(BIN)/python:
	@for python in $(PYTHON) python3 python3.14 python3.13 python3.12 python3.11 python; do \
	  if $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	    echo "Setting up $(VENV) with $$($$python --version) ..."; \
	    $$python -m venv $(VENV) && exit; \
	    rm -f $@; exit 1; \
	  fi; \
	done; \
	echo "Python 3.11 or newer was not found; set its path: make PYTHON=/path/to/python3 ..." >&2; \
	exit 1

$(VENV)/.cli: $(BIN)/python pyproject.toml
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[cli]'
	@touch $@

# Most of what is installed is never imported; Python compiles the rest on import.
$(VENV)/.dev: $(BIN)/python pyproject.toml
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --editable '.[dev]'
	@touch $@ $(VENV)/.cli
