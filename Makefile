# What there is to do here. `make test` is all of the tests; what takes longer has its own target.

PYTHON ?= python3
SECONDS ?= 60
ROUNDS ?= 300
VENV := target/venv
export TOKENKEEP_TEST_PYTHON := $(CURDIR)/$(VENV)/bin/python

.PHONY: demo run build test lint unit bench bench-short fuzz crash clean

# The main job on real input, step by step, from a fresh clone.
demo:
	demo/run.sh

# A vault for development in ./vault; your own user may do everything.
run: build
	target/release/tokenkeepd --dev vault

build:
	cargo build --release --locked

# Everything that is tested, in the order in which it tells most.
test: lint unit
	fuzz/run.sh 3
	$(MAKE) bench-short
	demo/run.sh

lint:
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	@if command -v cargo-deny >/dev/null; then cargo deny check bans licenses sources; \
	else echo "skipped: cargo deny (cargo install --locked cargo-deny)"; fi

unit: $(VENV)/bin/python
	cargo test --locked

$(VENV)/bin/python:
	mkdir -p target
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet cryptography

# Ratios beside their yardsticks, in one run.
bench:
	cargo bench --locked --bench speed

bench-short:
	BENCH=short cargo bench --locked --bench speed

# Every fuzz target, SECONDS each.
fuzz:
	fuzz/run.sh $(SECONDS)

# ROUNDS of kill -9 under eight writers.
crash:
	TOKENKEEP_CRASH_ROUNDS=$(ROUNDS) cargo test --release --locked --test crash -- --nocapture

clean:
	cargo clean
