# What there is to do here. `make test` is all of the tests; what takes longer has its own target.

PYTHON ?= python3
SECONDS ?= 60
ROUNDS ?= 2000
EXAMPLES ?= 300
ROWS ?= 100000
VENV := $(CURDIR)/target/venv

.PHONY: demo refresh-simulation refresh-torture rotate run build install test test-openbao test-systemd lint unit units catalogue openapi openapi-check schemathesis bench bench-short fuzz fuzz-short crash power-cut damage faults released import tls-scan \
	tls-scan-short memory memory-without fault-points clean

# The main job on real input, step by step, from a fresh clone.
demo:
	demo/run.sh

# A vault for development in ./vault; your own user may do everything.
run:
	cargo run --release --locked --bin tokenkeepd -- --dev vault

build:
	cargo build --release --locked

# As a package would: DESTDIR=/somewhere stages it, PREFIX is /usr because units and sysusers name it. Nothing below /etc.
DESTDIR ?=
PREFIX ?= /usr
PROGRAMS ?= target/release
install:
	install -D -m 0755 -t $(DESTDIR)$(PREFIX)/bin $(PROGRAMS)/tokenkeepd $(PROGRAMS)/tokenkeep-egress $(PROGRAMS)/tokenkeep-doorman $(PROGRAMS)/tokenkeep
	install -D -m 0644 -t $(DESTDIR)$(PREFIX)/lib/systemd/system systemd/*.service systemd/*.socket
	sed -i 's#/usr/bin/tokenkeep#$(PREFIX)/bin/tokenkeep#g' $(DESTDIR)$(PREFIX)/lib/systemd/system/tokenkeep*.service
	install -D -m 0644 systemd/tokenkeep.sysusers.conf $(DESTDIR)$(PREFIX)/lib/sysusers.d/tokenkeep.conf
	install -D -m 0644 systemd/journald@tokenkeep.conf $(DESTDIR)$(PREFIX)/lib/systemd/journald@tokenkeep.conf.d/tokenkeep.conf
	install -d $(DESTDIR)$(PREFIX)/share/man/man1 $(DESTDIR)$(PREFIX)/share/man/man8
	$(PROGRAMS)/tokenkeep man --directory $(DESTDIR)$(PREFIX)/share/man/man1
	for each in tokenkeepd tokenkeep-egress tokenkeep-doorman; do \
	    $(PROGRAMS)/$$each --man >$(DESTDIR)$(PREFIX)/share/man/man8/$$each.8 || exit 1; done
	install -d $(DESTDIR)$(PREFIX)/share/bash-completion/completions $(DESTDIR)$(PREFIX)/share/zsh/vendor-completions
	$(PROGRAMS)/tokenkeep completion bash >$(DESTDIR)$(PREFIX)/share/bash-completion/completions/tokenkeep
	$(PROGRAMS)/tokenkeep completion zsh >$(DESTDIR)$(PREFIX)/share/zsh/vendor-completions/_tokenkeep

# Everything that is tested, each thing once, in the order in which it tells most. Stops at the first that fails.
test:
	$(MAKE) lint
	$(MAKE) unit
	$(MAKE) fault-points
	$(MAKE) openapi-check
	$(MAKE) tls-scan-short
	$(MAKE) units
	tests/systemd/run.sh target/debug --where-possible
	$(MAKE) fuzz-short
	$(MAKE) bench-short
	$(MAKE) demo

lint:
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	cargo clippy --locked --package tokenkeep-client --lib -- -D warnings
	@if command -v cargo-deny >/dev/null; then cargo deny --locked --workspace check bans licenses sources; \
	else echo 'NOT RUN: cargo deny is not installed (cargo install --locked cargo-deny)'; fi

# Unit, end-to-end, command line, recovery, architecture, README, client and documentation tests, and the crash test's
# short form. The fuzz crate has no tests but its targets. One test fills a disk, so it is given one of its own.
# Most of them wait for a provider, a lease or a start more than they work: so twice as many at once as the two cores of CI.
TESTS := RUST_TEST_THREADS=4 env --default-signal=QUIT cargo test --locked --workspace --exclude tokenkeep-fuzz
ON_SMALL_DISK := unshare --map-root-user --mount sh -c 'mount -t tmpfs -o size=32m none /mnt && SMALL_FS=/mnt exec "$$@"' sh
unit: $(VENV)/ready $(VENV)/moving-in $(VENV)/leeway demo/node_modules/oidc-provider
	TOKENKEEP_TEST_PYTHON=$(VENV)/bin/python $(TESTS)
	@if $(ON_SMALL_DISK) true 2>/dev/null; then set -x; $(ON_SMALL_DISK) env $(TESTS) --lib a_full_disk_passes -- --ignored; \
	else echo 'NOT RUN: a_full_disk_passes, which needs a mount namespace'; fi

# The provider of the refresh tests; without npm they say that they were not run.
demo/node_modules/oidc-provider: demo/package-lock.json
	@if command -v npm >/dev/null; then cd demo && npm ci --loglevel=error >/dev/null && touch node_modules/oidc-provider; \
	else echo 'NOT RUN: the refresh tests, which need npm'; fi

# Orders of events, by the hundred thousand: SCHEDULES=1000000 for more.
SCHEDULES ?= 200000
refresh-simulation:
	TOKENKEEP_SCHEDULES=$(SCHEDULES) cargo test --locked --release --lib refresh::simulation -- --nocapture

# TORTURE seconds of everything at once: 200 connections whose access tokens live for 5 s, 64 readers, a provider that is
# late, busy, broken and cut off, and kill -9 every few seconds. Judged by the provider's own account. The short form is in
# `unit`.
TORTURE ?= 300
refresh-torture: demo/node_modules/oidc-provider
	cargo build --release --locked --bin tokenkeepd
	TOKENKEEP_TORTURE_SECONDS=$(TORTURE) TOKENKEEP_TEST_DAEMON=$(CURDIR)/target/release/tokenkeepd \
	    cargo test --locked --package tokenkeep --test daemon refresh::torture -- --nocapture

# All org keys replaced under 16 clients that read, write and refresh, and five kills in the middle: RECORDS of them. The short
# form is in `unit`.
RECORDS ?= 100000
CLIENTS ?= 16
KILLS ?= 5
rotate: demo/node_modules/oidc-provider
	cargo build --release --locked --bin tokenkeepd
	TOKENKEEP_REKEY_RECORDS=$(RECORDS) TOKENKEEP_REKEY_CLIENTS=$(CLIENTS) TOKENKEEP_REKEY_KILLS=$(KILLS) \
	    TOKENKEEP_TEST_DAEMON=$(CURDIR)/target/release/tokenkeepd \
	    cargo test --locked --package tokenkeep --test daemon refresh::rekeyed -- --nocapture

# The units, by systemd's own judgement: its words, and its figures.
units:
	cargo build --locked --bins
	tests/systemd/verify.sh target/debug

# The units under a live systemd in a container: needs root; the first run makes a Debian below target.
test-systemd:
	cargo build --locked --bins
	tests/systemd/run.sh target/debug

# The root key tests of OpenBao with the real server: an installed one, or OPENBAO=PROGRAM; else Vault, which Go 1.25
# builds from its source (long, and 2 GiB of modules).
OPENBAO ?= $(firstword $(shell command -v bao vault; true) $(CURDIR)/target/vault/vault)
test-openbao: $(VENV)/ready $(OPENBAO)
	TOKENKEEP_TEST_OPENBAO=$(OPENBAO) TOKENKEEP_TEST_PYTHON=$(VENV)/bin/python \
	    cargo test --locked --test daemon root_key::openbao

VAULT := tests/daemon/root_key/vault
$(CURDIR)/target/vault/vault: $(VAULT)/build.sh $(VAULT)/go.mod $(VAULT)/main.go
	$(VAULT)/build.sh $(@D)

# The recovery test reads a vault with nothing but Python and its `cryptography`, and a backup with `pyrage` beside; moto is AWS, for keys and
# backups, and hvac the client of OpenBao for the root key tests.
$(VENV)/ready: Makefile
	$(PYTHON) -m venv --clear $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check cryptography flask flask-cors hvac 'moto[iam,s3,secretsmanager,sts]' pyrage standardwebhooks
	touch $@

# The description of the API for machines, printed from the code that serves. A test fails where they differ.
catalogue:
	cargo run --quiet --locked --example catalogue > target/providers.md
	mv target/providers.md docs/providers.md

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

# The recipes of docs/moving-in.md are run with what applications have.
$(VENV)/moving-in: $(VENV)/ready
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check \
		django django-fernet-fields-v2 httpx 'psycopg[binary]' sqlalchemy sqlalchemy-utils
	touch $@

# A provider with a leeway, for the refresh tests.
$(VENV)/leeway: $(VENV)/ready
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check 'django-oauth-toolkit>=3.4,<4'
	touch $@

# A table of ROWS moves in from PostgreSQL, through kills; the short form is in `unit`. Prints the rate.
import: $(VENV)/moving-in
	TOKENKEEP_TEST_PYTHON=$(VENV)/bin/python TOKENKEEP_IMPORT_ROWS=$(ROWS) \
		cargo test --release --locked --test import -- --nocapture

# Ratios beside their yardsticks, in one run. The cost of memory hygiene needs a second daemon, which it builds into
# target/without-hygiene, unless TOKENKEEP_BENCH_WITHOUT_HYGIENE names one.
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

# That each target works and finds nothing at once: so it is not built for speed.
fuzz-short:
	JOBS=2 CARGO_PROFILE_RELEASE_OPT_LEVEL=1 fuzz/run.sh 3

# The long forms of what is done to the store start thousands of daemons: those of a release build.
RELEASED := $(CURDIR)/target/release/tokenkeepd
AGAINST_RELEASE = TOKENKEEP_TEST_DAEMON=$(RELEASED) cargo test --locked --package tokenkeep
released:
	cargo build --release --locked --bin tokenkeepd

# ROUNDS of kill -9 under eight writers, each restart held to its bound.
crash: released
	TOKENKEEP_CRASH_ROUNDS=$(ROUNDS) $(AGAINST_RELEASE) --test crash -- --nocapture

# CUTS moments at which the power goes, each with four shares of what was not synced; the daemon starts on what is left.
# The short form is in `unit`.
CUTS ?= 500
power-cut: released
	TOKENKEEP_POWER_CUTS=$(CUTS) $(AGAINST_RELEASE) --test storage power_cut -- --nocapture

# TRIALS of each way to damage a file; each must be harmless, or refused with the file and the way back.
TRIALS ?= 100
damage: released
	TOKENKEEP_DAMAGE_TRIALS=$(TRIALS) $(AGAINST_RELEASE) --test storage damage -- --nocapture

# FAULTS of each kind: calls that fail, and then real ones, for which it takes root: full file systems (in memory and ext4), one that turns
# read-only, limits of the process, a refresh on a full disk.
FAULTS ?= 50
faults: released demo/node_modules/oidc-provider
	TOKENKEEP_FAULT_TRIALS=$(FAULTS) $(AGAINST_RELEASE) --test storage faults:: -- --nocapture
	TOKENKEEP_REAL_TRIALS=$(FAULTS) $(AGAINST_RELEASE) --test storage real:: -- --nocapture --test-threads=1
	$(AGAINST_RELEASE) --test daemon brim -- --nocapture

# What lies in the daemon's memory: the release build, then the swap, then what a program gets that cores are piped into, then builds that lack one part each, whose scans must
# find what is missing. Needs root and gdb. The short form is in `unit`.
WITHOUT := register-wipe sandbox secret-pages secret-stack wiped-io wiping-allocator
memory:
	cargo build --release --locked --bin tokenkeepd
	TOKENKEEP_TEST_DAEMON=$(CURDIR)/target/release/tokenkeepd \
	    cargo test --locked --test memory -- --nocapture --test-threads=1
	TOKENKEEP_TEST_DAEMON=$(CURDIR)/target/release/tokenkeepd \
	    cargo test --locked --test memory swapped -- --ignored --nocapture
	TOKENKEEP_TEST_DAEMON=$(CURDIR)/target/release/tokenkeepd \
	    cargo test --locked --test memory piped -- --ignored --nocapture
	$(MAKE) memory-without

memory-without:
	set -e; for part in $(WITHOUT); do \
	    cargo build --locked --bin tokenkeepd --features dangerous-without-$$part; \
	    install -D target/debug/tokenkeepd target/without/$$part/tokenkeepd; \
	done
	TOKENKEEP_TEST_WITHOUT=$(CURDIR)/target/without \
	    cargo test --locked --test memory without -- --ignored --nocapture

# The daemon killed at each single step of a refresh, by a build that kills itself: four tables are printed and asserted.
fault-points: demo/node_modules/oidc-provider
	cargo build --locked --bin tokenkeepd --features dangerous-fault-points
	install -D target/debug/tokenkeepd target/faults/tokenkeepd
	TOKENKEEP_TEST_FAULT_DAEMON=$(CURDIR)/target/faults/tokenkeepd \
	    cargo test --locked --package tokenkeep --test daemon refresh::steps -- \
	    --include-ignored --nocapture --test-threads=8
	TOKENKEEP_TEST_FAULT_DAEMON=$(CURDIR)/target/faults/tokenkeepd \
	    cargo test --locked --test memory panicked -- --ignored --nocapture

# Leaves ./vault alone.
clean:
	cargo clean
	rm -rf demo/node_modules fuzz/corpus fuzz/artifacts
