# SWOOSH: `make` lists the targets.

# Artefacts live outside of the tree, so that a fresh checkout finds RocksDB built already.
export CARGO_TARGET_DIR ?= $(HOME)/.cache/swoosh/target

# With ccache installed, its compilers come first: RocksDB is then compiled once for this machine, not once
# for each target folder. The compiler variables stay unset, since a change in them rebuilds RocksDB.
ifneq ($(wildcard /usr/lib/ccache/c++),)
export PATH := /usr/lib/ccache:$(PATH)
endif

.DEFAULT_GOAL := help
# In order of build time: `types` alone, then the machine with its policies, then the daemon's libraries with RocksDB.
FUZZ_MACHINE := envelope headers policy
FUZZ_SERVER := snapshot git packer redactor mcp settings yaml wire
FUZZ_TARGETS := json canonical hlc record receipt ucxl feed $(FUZZ_MACHINE) $(FUZZ_SERVER)
FUZZ_SECONDS ?= 60

.PHONY: help build demo bench flame chaos soak fuzz schemathesis mutants recipes upstreams-tool fetch validate chart pin-images dist test lint fmt clean prerequisites

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# Both of them: with one alone Cedar and others get other features than in the tests, and are compiled once more.
build: prerequisites ## Build the programs swoosh and swoosh-lab
	cargo build --locked --package swoosh --package swoosh-lab

demo: build ## Drive a project from BOOT to REVERB, kill the daemon, and replay
	@tools/install-prerequisites.sh packer
	"$(CARGO_TARGET_DIR)/debug/swoosh-lab" demo

# BENCH='--rounds 5 --seconds 6 --pictures docs/performance' makes the report and the pictures of docs/performance.md.
bench: build ## Measure this machine, beside etcd and Restate where they are installed (a quarter of an hour; BENCH has its options)
	@command -v etcd >/dev/null || echo "skipped: etcd (apt-get install etcd-server protobuf-compiler)"
	@command -v restate-server >/dev/null || [ -n "$$RESTATE_SERVER" ] || \
		echo "skipped: Restate (npm install @restatedev/restate-server; RESTATE_SERVER names its restate-server)"
	"$(CARGO_TARGET_DIR)/debug/swoosh-lab" bench $(BENCH)

flame: build ## Draw a flame graph of the daemon under 64 clients, with perf and inferno (FLAME=FILE.svg, SWOOSH names another program)
	tools/flame.sh "$(or $(FLAME),flame.svg)"

# Where a run writes; the report is put beside the recipes.
CHAOS_RUN := chaos/run
chaos: build ## Run simulated and real faults (18 to 23 minutes on 2 cores); writes chaos/REPORT.md and chaos/report.json
	@tools/install-prerequisites.sh chaos
	rm -rf $(CHAOS_RUN) && mkdir -p $(CHAOS_RUN)
	"$(CARGO_TARGET_DIR)/debug/swoosh-lab" --json chaos sim --seed $(or $(SEED),1) --transitions $(or $(SIMULATED),5000000) \
		>$(CHAOS_RUN)/simulation.json || true # its findings are in the report, and fail it
	"$(CARGO_TARGET_DIR)/debug/swoosh-lab" chaos real --seed $(or $(SEED),1) --seconds $(or $(SECONDS),150) \
		--transitions $(or $(TRANSITIONS),200000) --simulation $(CHAOS_RUN)/simulation.json --output $(CHAOS_RUN)/real \
		|| { cp $(CHAOS_RUN)/real/REPORT.md chaos/REPORT.md; exit 1; }
	cp $(CHAOS_RUN)/real/REPORT.md chaos/REPORT.md
	cp $(CHAOS_RUN)/real/report.json chaos/report.json

soak: build ## Hours of real faults (HOURS), watched by Prometheus with the operators' alerting rules
	@tools/install-prerequisites.sh chaos
	rm -rf $(CHAOS_RUN) && mkdir -p $(CHAOS_RUN)
	"$(CARGO_TARGET_DIR)/debug/swoosh-lab" chaos real --seed $(or $(SEED),1) --seconds $$(( $(or $(HOURS),4) * 3600 )) \
		--clients 8 --pace 300 --rules deploy/prometheus/swoosh.rules.yml --output $(CHAOS_RUN)/soak

# New inputs go into the target folder: fuzz/corpus keeps only inputs that were chosen.
# libFuzzer's instrumentation is an unstable option of rustc; the sanitizers are left out, as there is no `unsafe` here.
fuzz: prerequisites ## Fuzz each way in for a minute (FUZZ_SECONDS, FUZZ_TARGETS)
	@cargo fuzz --version >/dev/null 2>&1 || { \
		echo "installing cargo-fuzz, two minutes"; cargo install --locked cargo-fuzz; }
	@for target in $(FUZZ_TARGETS); do \
		echo "$$target: $(FUZZ_SECONDS) s"; \
		case " $(FUZZ_MACHINE) / $(FUZZ_SERVER) " in \
			*" $$target "*/*) features="--features machine";; \
			*/*" $$target "*) features="--features server";; \
			*) features=;; \
		esac; \
		found="$(CARGO_TARGET_DIR)/fuzz/corpus/$$target"; mkdir -p "$$found"; \
		RUSTC_BOOTSTRAP=1 cargo fuzz run --sanitizer none --target-dir "$(CARGO_TARGET_DIR)/fuzz" $$features $$target \
			"$$found" "fuzz/corpus/$$target" -- \
			-max_total_time=$(FUZZ_SECONDS) -max_len=16384 -timeout=10 -print_final_stats=1 || exit 1; \
	done

schemathesis: build ## Test a node against its OpenAPI description, with signed requests (a minute; SEED, EXAMPLES)
	SWOOSH="$(CARGO_TARGET_DIR)/debug/swoosh" SEED=$(or $(SEED),1) EXAMPLES=$(or $(EXAMPLES),60) tools/schemathesis.py $(SCHEMATHESIS)

# An interrupted run resumes. MUTANTS=NAME... runs only those; MUTANTS=--keep-caught keeps the results of bugs caught
# before a test was fixed.
mutants: prerequisites ## Plant the bugs of chaos/mutants.toml one at a time; each must be caught (an hour)
	tools/mutants.py $(MUTANTS)

recipes: prerequisites ## Compile the patch of each recipe of CONTRIBUTING.md on a copy of the tree (the first time an hour)
	SWOOSH_RECIPES=1 cargo test --locked --package swoosh --package swoosh-features --test integration -- recipes::

# A small command without the daemon and without RocksDB: 4 minutes of processor time from an empty target directory, as measured.
upstreams-tool: prerequisites
	cargo build --locked --package swoosh-upstreams

fetch: upstreams-tool ## Fetch the pinned upstreams of tools/upstreams.env into third_party/
	SWOOSH="$(CARGO_TARGET_DIR)/debug/swoosh-upstreams" tools/fetch_upstreams.sh

validate: upstreams-tool ## Check pins, required documents, .gitignore and the capability file
	SWOOSH="$(CARGO_TARGET_DIR)/debug/swoosh-upstreams" tools/validate.py

chart: ## Render the Helm chart with Helm's engine, check it against the API schemas, and keep the result
	tools/chart.py --write

pin-images: ## Replace the tags of images in the deploy files by digests (needs docker and its registry)
	tools/pin_images.py

# The commit is compiled in, so that only a tree without changes is released. UNRELEASED=1 skips this check.
dist: prerequisites ## Make the release archive with manual pages and completions, its SBOM and checksums, in dist/
	@[ "$(UNRELEASED)" = 1 ] || [ -z "$$(git status --porcelain)" ] || { echo "there are uncommitted changes"; exit 1; }
	SWOOSH_COMMIT=$$(git rev-parse HEAD)$$([ -z "$$(git status --porcelain)" ] || echo -dirty) cargo build --locked --release --package swoosh
	@cargo cyclonedx --version >/dev/null 2>&1 || { \
		echo "installing cargo-cyclonedx, some minutes"; cargo install --locked cargo-cyclonedx; }
	UNRELEASED=$(UNRELEASED) SWOOSH="$(CARGO_TARGET_DIR)/release/swoosh" tools/dist.py

# For single crates and tests, which are run while the code is edited.
QUICK = $(if $(CRATE)$(TESTS)$(EDIT),--config tools/edit.toml)

# With one crate its dependencies keep the features that they have in the workspace, so that nothing is built twice.
PACKAGE = $(if $(filter swoosh,$(CRATE)),swoosh,swoosh-$(CRATE))

test: prerequisites ## Run all tests (CRATE=journal: the unit tests of that crate; TESTS=NAME: those with that name; EDIT=1: a quick build)
	@tools/install-prerequisites.sh tests
	cargo $(QUICK) test --locked $(if $(CRATE),--package $(PACKAGE) --package swoosh-features --lib,--workspace) $(TESTS)

lint: prerequisites ## Check format, lints, feature sets, licences and documentation
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	@if cargo deny --version >/dev/null 2>&1; then \
		cargo deny --locked check bans licenses sources && \
		if cargo deny --locked fetch db >/dev/null 2>&1; then \
			cargo deny --locked check --disable-fetch advisories; \
		else \
			echo "skipped: advisories (the advisory database cannot be reached from here)"; \
		fi; \
	else \
		echo "skipped: cargo deny check (cargo-deny is not installed; cargo install --locked cargo-deny)"; \
	fi
	@if command -v gofmt >/dev/null; then \
		test -z "$$(gofmt -l sdk/go)" || { echo "gofmt -w sdk/go formats these files:"; gofmt -l sdk/go; exit 1; }; \
	else \
		echo "skipped: gofmt (tools/install-prerequisites.sh tests installs Go)"; \
	fi
	@if [ -x "$(CARGO_TARGET_DIR)/sdk-venv/bin/ruff" ]; then \
		cd sdk/python && "$(CARGO_TARGET_DIR)/sdk-venv/bin/ruff" check --no-cache src tests examples && \
		"$(CARGO_TARGET_DIR)/sdk-venv/bin/mypy" --cache-dir "$(CARGO_TARGET_DIR)/sdk-mypy"; \
	else \
		echo "skipped: ruff and mypy (tools/install-prerequisites.sh tests installs them)"; \
	fi
	@if command -v tsc >/dev/null; then tsc -p sdk/js; else echo "skipped: tsc (npm install --global typescript)"; fi
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps --workspace --lib
	tools/mutants.py --check

fmt: ## Format the source
	cargo fmt --all

clean: ## Remove the build products of SWOOSH; RocksDB and the other dependencies stay
	cargo clean --locked --workspace

# Quick if everything is installed.
prerequisites:
	@tools/install-prerequisites.sh
	@tools/claim-target.sh
	@if ! ls "$(CARGO_TARGET_DIR)"/debug/build/librocksdb-sys-*/output >/dev/null 2>&1; then \
		echo "building RocksDB once, about 15 minutes on 2 cores; it is kept in $(CARGO_TARGET_DIR)"; \
	fi
