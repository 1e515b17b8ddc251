# `make demo` shows the thing; `make test` proves it. Both install what they need.

VENV := $(CURDIR)/target/venv
PYTHON ?= python3
export METRIFOLD_VENV := $(VENV)

.PHONY: demo load test check system venv wheel rust python

demo: ## Real workers, real deaths, one exact scrape, for 30 seconds.
	cargo run --quiet --locked --profile dist --package metrifold -- demo --duration 30s

load: system ## What the store costs at 1,024 workers of 1,000 series, as ratios against plain Redis.
	cargo run --quiet --locked --profile dist --package metrifold-load

test: system check wheel rust python ## Everything that CI runs.

check: ## Format and lints.
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- --deny warnings

system: ## Redis, Prometheus and the other real parts of the tests.
	./tests/install.sh

wheel: $(VENV)/.installed ## The Python wheel, with the binary inside, installed in the environment of the tests.
	PATH="$(VENV)/bin:$$PATH" ./clients/python/build_wheel.sh "$(CURDIR)/target/wheels"
	$(VENV)/bin/pip install --quiet --force-reinstall --no-deps target/wheels/*.whl

$(VENV)/.installed: tests/requirements.txt
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --requirement tests/requirements.txt
	touch $@

rust: ## Unit, model, conformance and whole-path tests.
	cargo build --locked --workspace --all-targets
	cargo nextest run --locked --workspace
	cargo test --locked --workspace --doc

python: ## The Python package from its wheel.
	cd clients/python && $(VENV)/bin/python -m pytest
