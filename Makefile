# `make demo` shows the thing; `make test` proves it. Both install what they need.

VENV := $(CURDIR)/target/venv
PYTHON ?= python3
# Versions that are tested beside the newest.
GUNICORNS := 20.1 23
export METRIFOLD_VENV := $(VENV)

.PHONY: demo load stack test deep repeat check system venv wheel rust python

demo: ## Real workers, real deaths, one exact scrape, for 30 seconds.
	cargo run --quiet --locked --profile dist --package metrifold -- demo --duration 30s

load: system ## What the store costs at 1,024 workers of 1,000 series, as ratios against plain Redis.
	cargo run --quiet --locked --profile dist --package metrifold-load

stack: system wheel ## The compose stack on a real container engine, every service killed in turn; root starts one if none runs.
	./tests/install.sh engine
	./deploy/build_static.sh target/stack/static
	cargo build --locked --package metrifold-tests --tests
	STACK_BINARIES="$(CURDIR)/target/stack/static" cargo nextest run --locked --package metrifold-tests --test deploy --run-ignored all --no-capture

# The wheel of the tests shares its dependencies with them: nothing is built twice, and debug assertions hold in it.
test: export WHEEL_PROFILE := dev
test: system check wheel rust python ## Everything that CI runs.
	@test ! -s target/skipped.txt || { echo "could not be run here:"; sort -u target/skipped.txt; }

deep: system wheel ## What takes longer than a run of CI may: long random schedules of faults, a million hostile pushes, many random worker sets.
	FAULTS_SEED=$${FAULTS_SEED:-$$(date +%s)} FAULTS_ROUNDS=$${FAULTS_ROUNDS:-20} \
		cargo nextest run --locked --profile deep --package metrifold-tests -E 'test(any_schedule)'
	HOSTILE_SEED=$${HOSTILE_SEED:-$$(date +%s)} HOSTILE_PUSHES=$${HOSTILE_PUSHES:-1000000} \
		cargo nextest run --locked --profile deep --package metrifold-tests -E 'test(hostile)'
	cd clients/python && METRIFOLD_ORACLE_SETS=$${METRIFOLD_ORACLE_SETS:-10000} METRIFOLD_ORACLE_SEED=$${METRIFOLD_ORACLE_SEED:-random} \
		$(VENV)/bin/python -m pytest --timeout 3600 tests/test_conformance.py

repeat: ## One test alone, many times: make repeat TEST=name TIMES=20
	./tests/repeat.sh "$(TEST)" "$(or $(TIMES),10)"

check: ## Format and lints.
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- --deny warnings
	# The smallest client.
	cargo clippy --locked --package metrifold-client --no-default-features --features local -- --deny warnings

system: ## Redis, Prometheus and the other real parts of the tests.
	./tests/install.sh

wheel: $(VENV)/.installed $(GUNICORNS:%=target/gunicorn-%/.installed) ## The Python wheels, the binary inside, installed in the environments of the tests.
	PATH="$(VENV)/bin:$$PATH" ./clients/python/build_wheel.sh "$(CURDIR)/target/wheels"
	for python in $(VENV) $(GUNICORNS:%=target/gunicorn-%); do \
		$$python/bin/pip install --quiet --force-reinstall --no-deps target/wheels/*.whl || exit; \
	done

target/gunicorn-%/.installed: tests/requirements-gunicorn-%.txt
	$(PYTHON) -m venv target/gunicorn-$*
	target/gunicorn-$*/bin/pip install --quiet --requirement $<
	touch $@

$(VENV)/.installed: tests/requirements.txt
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --requirement tests/requirements.txt
	touch $@

rust: ## Unit, model, conformance and whole-path tests.
	cargo build --locked --workspace --all-targets
	rm -f target/skipped.txt
	cargo nextest run --locked --workspace
	cargo test --locked --workspace --doc

python: ## The Python package from its wheel.
	# Its tests wait for processes most of their time.
	cd clients/python && $(VENV)/bin/python -m pytest --numprocesses 4 --reruns 2 -rR
