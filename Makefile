# What people and CI type. Everything runs from .venv, which scripts/setup makes.
BIN := .venv/bin
PYTEST := $(BIN)/pytest -q

.PHONY: dev fix check lint test integration golden bench docs

dev:
	sh scripts/setup dev

fix:
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	$(BIN)/python scripts/gen-docs

check: lint test integration

lint:
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python scripts/gen-docs --check

test:
	$(PYTEST) -n auto tests/unit tests/contracts tests/properties tests/golden

integration:
	$(PYTEST) -n 2 tests/integration tests/conformance

golden:
	UPDATE_GOLDEN=1 $(PYTEST) tests/golden

bench:
	$(BIN)/python benchmarks/run

docs:
	$(BIN)/python scripts/gen-docs
