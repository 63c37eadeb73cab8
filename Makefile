# What people and CI type. Everything runs from .venv, which scripts/setup makes.
BIN := .venv/bin
PYTEST := $(BIN)/pytest -q

.PHONY: help dev fix check lint test integration golden bench docs

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

dev: ## set up, or bring the set-up up to date
	sh scripts/setup dev

fix: ## format, fix what ruff can fix, write the reference pages anew
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	$(BIN)/python scripts/gen-docs

check: lint test integration ## what CI runs

lint: ## format, types, floors, reference pages
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python scripts/gen-docs --check

test: ## unit, contracts, properties, golden
	$(PYTEST) -n auto tests/unit tests/contracts tests/properties tests/golden

integration: ## real sandboxes, real stores, other people's tools
	$(PYTEST) -n 2 tests/integration tests/conformance

golden: ## write golden files anew
	UPDATE_GOLDEN=1 $(PYTEST) tests/golden

bench: ## the benchmark, side by side with its yardsticks
	$(BIN)/python benchmarks/run

docs: ## write docs/reference anew from the code
	$(BIN)/python scripts/gen-docs
