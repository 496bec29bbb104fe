# The commands of the project. `make up` on a fresh Debian or Ubuntu machine gives a grid.

export PATH := $(CURDIR)/target/toolchain/node_modules/.bin:$(HOME)/.cargo/bin:$(PATH)

TARGET := $(or $(CARGO_TARGET_DIR),$(CURDIR)/target)
FLOTILLA := $(TARGET)/release/flotilla
FUZZ_RUNS ?= 10000000

.PHONY: help up build test bench fuzz clean

help: ## Show this.
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/make \1  \2/p' $(MAKEFILE_LIST)

up: build ## Set up what is missing and start the grid (PORT=9000 for another port).
	@$(FLOTILLA) browsers list --json | grep -q '"served": true' || $(FLOTILLA) browsers install
	@exec $(FLOTILLA) up

build: ## Build the release binary.
	@scripts/setup.sh
	@cargo build --release --quiet -p flotilla

test: ## Everything that must hold, the same here and in CI.
	@scripts/test.sh

bench: ## Measure, and write docs/performance.md.
	@scripts/setup-tests.sh
	cargo bench --workspace

fuzz: ## Fuzz the relay's parsers: FUZZ_RUNS inputs for each target.
	@scripts/fuzz.sh $(FUZZ_RUNS)

clean: ## Remove everything that was built, the test bed too.
	rm -rf target fuzz/target
