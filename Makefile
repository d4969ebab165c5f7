# Everything runs in .venv, made on first use with the exact versions of constraints.txt.
PYTHON ?= python3.11
BIN := .venv/bin
READY := .venv/ready

.PHONY: demo test lint bench wheel clean help

help: ## this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 10

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

demo: $(READY) ## the main experiment on the reference world, about 8 minutes on 2 cores
	$(BIN)/spiritsafe experiment=demo

test: $(READY) ## all tests
	$(BIN)/python -m pytest

lint: $(READY) ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(READY) ## ratios against transformers, a campaign at full scale, a sweep beside its runs alone, and the demo cold and warm
	$(BIN)/python -m scripts.bench

wheel: $(READY) ## build the wheel and run it from outside the checkout in a clean environment
	bash .ci/wheel

clean: ## remove the environment and what was run
	rm -rf .venv runs build dist *.egg-info
