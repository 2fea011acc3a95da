# What there is to do here. `make test` is all of the tests; what takes longer has its own target.

PYTHON ?= python3
SECONDS ?= 60
ROUNDS ?= 300
EXAMPLES ?= 300
VENV := $(CURDIR)/target/venv

.PHONY: demo run build test lint unit openapi openapi-check schemathesis bench bench-short fuzz fuzz-short crash tls-scan tls-scan-short clean

# The main job on real input, step by step, from a fresh clone.
demo:
	demo/run.sh

# A vault for development in ./vault; your own user may do everything.
run:
	cargo run --release --locked --bin tokenkeepd -- --dev vault

build:
	cargo build --release --locked

# Everything that is tested, each thing once, in the order in which it tells most. Stops at the first that fails.
test:
	$(MAKE) lint
	$(MAKE) unit
	$(MAKE) openapi-check
	$(MAKE) tls-scan-short
	$(MAKE) fuzz-short
	$(MAKE) bench-short
	$(MAKE) demo

lint:
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	@if command -v cargo-deny >/dev/null; then cargo deny --locked --workspace check bans licenses sources; \
	else echo 'NOT RUN: cargo deny is not installed (cargo install --locked cargo-deny)'; fi

# Unit, end-to-end, command line, recovery, architecture, README, client and documentation tests, and the crash test's
# short form. The fuzz crate has no tests but its targets. One test fills a disk, so it is given one of its own.
TESTS := cargo test --locked --workspace --exclude tokenkeep-fuzz
ON_SMALL_DISK := unshare --map-root-user --mount sh -c 'mount -t tmpfs -o size=32m none /mnt && SMALL_FS=/mnt exec "$$@"' sh
unit: $(VENV)/ready
	TOKENKEEP_TEST_PYTHON=$(VENV)/bin/python $(TESTS)
	@if $(ON_SMALL_DISK) true 2>/dev/null; then set -x; $(ON_SMALL_DISK) $(TESTS) --lib a_full_disk_passes -- --ignored; \
	else echo 'NOT RUN: a_full_disk_passes, which needs a mount namespace'; fi

# The recovery test reads a vault with nothing but Python and its `cryptography`.
$(VENV)/ready:
	$(PYTHON) -m venv --clear $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check cryptography
	touch $@

# The description of the API for machines, printed from the code that serves. A test fails where they differ.
openapi:
	cargo run --quiet --locked --example openapi > target/openapi.json
	cargo run --quiet --locked --example openapi admin > target/openapi-admin.json
	mv target/openapi.json target/openapi-admin.json docs/

# The daemon against that description, over each of its doors: every example, then schemathesis in all its phases. The
# short form is enough to see that they agree; the long one looks for what nobody thought of.
OPENAPI_VENV := $(CURDIR)/target/venv-openapi
CHECK_OPENAPI := $(OPENAPI_VENV)/bin/python tests/openapi/check.py target/debug/tokenkeepd
openapi-check: $(OPENAPI_VENV)/ready
	cargo build --locked --bin tokenkeepd
	$(CHECK_OPENAPI) --examples 5

schemathesis: $(OPENAPI_VENV)/ready
	cargo build --locked --bin tokenkeepd
	$(CHECK_OPENAPI) --examples $(EXAMPLES)

$(OPENAPI_VENV)/ready:
	$(PYTHON) -m venv --clear $(OPENAPI_VENV)
	$(OPENAPI_VENV)/bin/python -m pip install --quiet --disable-pip-version-check 'schemathesis>=4.32,<5'
	touch $@

# Ratios beside their yardsticks, in one run.
bench:
	cargo bench --locked --bench speed

# That the benchmark works. Its figures mean nothing, so it is not built anew for speed either.
bench-short:
	BENCH=short cargo bench --profile dev --locked --bench speed

# The TLS listener as sslyze sees it; in full with testssl and Go's TLS too, and what they said kept in docs/tls-scan.md.
TLS_VENV := $(CURDIR)/target/tls-venv
tls-scan-short: $(TLS_VENV)/ready
	cargo build --locked --bin tokenkeepd
	$(TLS_VENV)/bin/python tests/tls/scan.py target/debug/tokenkeepd
tls-scan: $(TLS_VENV)/ready
	cargo build --locked --bin tokenkeepd
	$(TLS_VENV)/bin/python tests/tls/scan.py target/debug/tokenkeepd docs/tls-scan.md

$(TLS_VENV)/ready:
	$(PYTHON) -m venv --clear $(TLS_VENV)
	$(TLS_VENV)/bin/python -m pip install --quiet --disable-pip-version-check 'sslyze>=6,<7'
	touch $@

# Every fuzz target, SECONDS each.
fuzz:
	fuzz/run.sh $(SECONDS)

fuzz-short:
	fuzz/run.sh 3

# ROUNDS of kill -9 under eight writers, each restart held to its bound.
crash:
	TOKENKEEP_CRASH_ROUNDS=$(ROUNDS) cargo test --release --locked --test crash -- --nocapture

# Leaves ./vault alone.
clean:
	cargo clean
	rm -rf demo/node_modules fuzz/corpus fuzz/artifacts
