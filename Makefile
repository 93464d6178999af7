# Everything goes through here: people, CI and packagers. `make` lists what there is.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
# Cargo and the tests use all processors by themselves; the output stays in order.
.NOTPARALLEL:
MAKEFLAGS += --no-builtin-rules --no-print-directory

CARGO ?= cargo
CC := $(if $(filter default,$(origin CC)),cc,$(CC))
CFLAGS ?= -O2 -g
WARNINGS := -Wall -Wextra -Wpedantic -Werror

# Where `make install` puts things; DESTDIR, if given, stands before all of them.
PREFIX ?= /usr/local
LIBDIR ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include
# From its own directory, the library looks for the worker in ../libexec/enclave.
LIBEXECDIR ?= $(abspath $(LIBDIR)/../libexec)/enclave
DOCDIR ?= $(PREFIX)/share/doc/enclave

VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml)
# While the first part of the version is 0, the second one counts the changes that break callers (capi/build.rs).
SOVERSION := $(word 1,$(subst ., ,$(VERSION))).$(word 2,$(subst ., ,$(VERSION)))

# It must reproduce include/enclave.h exactly.
CBINDGEN_VERSION := 0.29.4
CBINDGEN := target/tools/cbindgen-$(CBINDGEN_VERSION)/bin/cbindgen

LIBRARY := target/release/libenclave.so
WORKER := target/release/enclave-worker
# An installation of our own, which everything in C is compiled against.
STAGE := $(CURDIR)/target/stage
STAGED := PKG_CONFIG_PATH=$(STAGE)/lib/pkgconfig pkg-config
LINK_STAGED = $$($(STAGED) --cflags --libs enclave) -Wl,-rpath,$(STAGE)/lib -pthread -lm

# Everything of the Python package: what tests it is in a virtual environment, and the wheel is installed there.
PYTHON ?= python3
PACKAGE := bindings/python
VENV := $(CURDIR)/target/venv
WHEELS := target/dist
BENCH_VENV := $(CURDIR)/target/bench/venv

C_TESTS = $(filter-out target/tests/c/conformance,$(patsubst tests/c/%.c,target/tests/c/%,$(wildcard tests/c/*.c)))
EXAMPLES := target/examples

# The build cache of Go does not look into headers outside of a module, but at flags.
GO ?= go
GO_ENV = PKG_CONFIG_PATH=$(STAGE)/lib/pkgconfig CGO_LDFLAGS="-Wl,-rpath,$(STAGE)/lib" \
	CGO_CFLAGS="-O2 -g -DENCLAVE_HEADER=$$(sha256sum include/enclave.h | cut -c 1-16)"
GO_MODULES := bindings/go bindings/go/prometheus
GO_PROGRAMS := benches/contestants/go
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
FUZZTIME ?= 5s

# The model checker and the debug engine have flags of their own, and so directories of their own.
LOOM := RUSTFLAGS="--cfg loom" $(CARGO)
LOOM_FLAGS := --locked -p enclave-core --lib --target-dir target/loom
# Modes of the engine's GC zeal and how many allocations apart: collect all, collect the nursery, move all. What is not
# rooted then is gone, or somewhere else.
GC_ZEAL := 2,50 7,10 14,50
# The modules of core/tests/it that need no sandbox, which is made for the engine of a release.
OF_THE_ENGINE := console_and_web:: edges:: engine:: limits:: scripts::
# Tests that fill memory or go deep: with a collection every so many allocations they take hours.
TOO_SLOW_UNDER_ZEAL := a_copy_is_in_the_memory_limit_while_it_is_made a_deep_value_is_cloned \
	edges:: garbage_does_not_count_against_the_limit memory_is_limited_whatever_holds_it memory_is_limited_at_all_sizes \
	web_functions_end_in_an_error_where_memory_does_not_suffice
DEBUG_FLAGS := --locked --profile debugengine --target-dir target/debug-engine
DEBUG_ENGINE := $(CARGO) --config 'env.MOZJS_ARCHIVE.value="$(CURDIR)/.mozjs/libmozjs-debug.tar.gz"'

# Random inputs (fuzz/README.md).
FUZZ_TARGETS := frames_of_worker frames_of_pool cbor json sources tools console values settings
TARGETS ?= $(FUZZ_TARGETS) scripts
TIME ?= 60
FUZZ_PROFILE ?= fuzzing
FUZZ_BIN = target/$(FUZZ_PROFILE)
SCRIPTS_BIN := target/release/fuzz-scripts
# Under GC zeal of every few allocations, scripts only time out.
FUZZ_GC_ZEAL := 2,2000 7,300 14,2000

step = @printf '\n== %s\n' $(1)

.PHONY: help
help: ## List the targets
	@echo "enclave $(VERSION)"
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1\t\2/p' Makefile | expand -t 22
	@echo
	@echo "  PREFIX, LIBDIR, INCLUDEDIR, DOCDIR and DESTDIR say where to install (PREFIX=$(PREFIX)); MOZJS_ARCHIVE"
	@echo "  names an archive of SpiderMonkey, else one is taken from the cache, downloaded or compiled."

# --- Build

.PHONY: setup
setup: ## Install what a build needs and get SpiderMonkey (seconds; a quarter of an hour if it is compiled)
	@scripts/setup build
	@scripts/provision-mozjs

.PHONY: build
build: setup ## Build the library (several minutes the first time)
	$(call step,"Build the library (several minutes the first time)")
	$(CARGO) build --release --locked -p enclave-capi -p enclave-core --lib --bin enclave-worker

$(LIBRARY) $(WORKER):
	@$(MAKE) build

.PHONY: install
install: | $(LIBRARY) $(WORKER) ## Install the library that was built: PREFIX=/usr/local DESTDIR=
	install -d "$(DESTDIR)$(LIBDIR)/pkgconfig" "$(DESTDIR)$(LIBDIR)/cmake/Enclave" "$(DESTDIR)$(INCLUDEDIR)" \
		"$(DESTDIR)$(LIBEXECDIR)" "$(DESTDIR)$(DOCDIR)"
	install -m 755 $(LIBRARY) "$(DESTDIR)$(LIBDIR)/libenclave.so.$(VERSION)"
	strip --strip-unneeded "$(DESTDIR)$(LIBDIR)/libenclave.so.$(VERSION)"
	ln -sf libenclave.so.$(VERSION) "$(DESTDIR)$(LIBDIR)/libenclave.so.$(SOVERSION)"
	ln -sf libenclave.so.$(SOVERSION) "$(DESTDIR)$(LIBDIR)/libenclave.so"
	install -m 755 -s $(WORKER) "$(DESTDIR)$(LIBEXECDIR)/enclave-worker"
	install -m 644 include/enclave.h "$(DESTDIR)$(INCLUDEDIR)"
	install -m 644 LICENSE-APACHE LICENSE-MIT NOTICE "$(DESTDIR)$(DOCDIR)"
	@$(call fill,capi/enclave.pc.in,$(LIBDIR)/pkgconfig/enclave.pc)
	@$(call fill,capi/EnclaveConfig.cmake.in,$(LIBDIR)/cmake/Enclave/EnclaveConfig.cmake)
	@$(call fill,capi/EnclaveConfigVersion.cmake.in,$(LIBDIR)/cmake/Enclave/EnclaveConfigVersion.cmake)

# Paths in enclave.pc are relative to its prefix where they can be, so that pkg-config can relocate them.
fill = sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@VERSION@|$(VERSION)|' -e 's|@SOVERSION@|$(SOVERSION)|' \
	-e 's|@LIBDIR@|$(patsubst $(PREFIX)/%,$${prefix}/%,$(LIBDIR))|' \
	-e 's|@INCLUDEDIR@|$(patsubst $(PREFIX)/%,$${prefix}/%,$(INCLUDEDIR))|' \
	-e "s|@LIBDIR_TO_INCLUDEDIR@|$$(realpath -m --relative-to="$(LIBDIR)" "$(INCLUDEDIR)")|" \
	$(1) >"$(DESTDIR)$(2)" && chmod 644 "$(DESTDIR)$(2)"

.PHONY: stage
stage: build
	$(call step,"Install it below target/stage")
	@rm -rf $(STAGE)
	@$(MAKE) install PREFIX=$(STAGE) LIBDIR=$(STAGE)/lib LIBEXECDIR=$(STAGE)/libexec/enclave INCLUDEDIR=$(STAGE)/include \
		DOCDIR=$(STAGE)/share/doc/enclave DESTDIR=

# --- Python

$(VENV)/ready: $(PACKAGE)/requirements-test.txt
	@scripts/setup python
	@echo "Making a virtual environment below target/ (a minute)"
	@$(PYTHON) -m venv --clear $(VENV)
	@$(VENV)/bin/pip install --quiet --disable-pip-version-check -r $<
	@touch $@

.PHONY: wheel
wheel: setup $(VENV)/ready ## Build the Python wheel into target/dist (several minutes the first time)
	$(call step,"Build the wheel (several minutes the first time)")
	@rm -rf $(WHEELS)
	PATH="$(VENV)/bin:$$PATH" pip wheel --quiet --no-deps --no-build-isolation -w $(WHEELS)/linux ./$(PACKAGE)
	PATH="$(VENV)/bin:$$PATH" auditwheel repair -w $(WHEELS) $(WHEELS)/linux/*.whl
	@rm -rf $(WHEELS)/linux
	scripts/test-wheel $(WHEELS)/*.whl

.PHONY: python
python: wheel ## Install the Python package into target/venv, with what its tests and examples need
	@$(VENV)/bin/pip install --quiet --no-deps --force-reinstall $(WHEELS)/*.whl
	@echo "Try it: target/venv/bin/python -m enclave repl"

.PHONY: lint-python
lint-python: python
	$(call step,"Lint the Python package")
	$(VENV)/bin/ruff check $(PACKAGE) examples/python benches
	$(VENV)/bin/ruff format --check $(PACKAGE) examples/python benches
	cd $(PACKAGE) && $(VENV)/bin/mypy -p enclave && $(VENV)/bin/mypy enclave_build.py ../../examples/python
	cd $(PACKAGE) && $(VENV)/bin/stubtest enclave._enclave

.PHONY: test-python
test-python: lint-python ## Run the Python tests; ARGS="-k name" and the like
	$(call step,"Python tests (two minutes)")
	cd $(PACKAGE) && $(VENV)/bin/python -m pytest -q $(ARGS)

# --- Run

.PHONY: examples
examples: stage
	$(call step,"Compile the examples against the installed library")
	@mkdir -p $(EXAMPLES)
	$(CC) -std=c99 $(CFLAGS) $(WARNINGS) examples/c/*.c $(LINK_STAGED) -o $(EXAMPLES)/run_scripts
	$(CC) -std=c99 $(CFLAGS) $(WARNINGS) examples/c/hello/hello.c $(LINK_STAGED) -o $(EXAMPLES)/hello

.PHONY: run
run: examples ## Build, install into target/stage, and run the scripts of examples/scripts (SCRIPTS=DIR for others)
	$(call step,"Run the scripts (some seconds)")
	$(EXAMPLES)/run_scripts $(or $(SCRIPTS),examples/scripts)

# --- Measure

$(BENCH_VENV)/ready: benches/requirements.txt
	@scripts/setup python
	@$(PYTHON) -m venv --clear $(BENCH_VENV)
	@$(BENCH_VENV)/bin/pip install --quiet --disable-pip-version-check -r $<
	@touch $@

.PHONY: bench-c
bench-c: stage
	@mkdir -p target/bench/bin
	$(CC) -std=gnu11 $(CFLAGS) $(WARNINGS) benches/contestants/c/bench.c $(LINK_STAGED) -o target/bench/bin/c

.PHONY: bench-programs
bench-programs: bench-c python setup-go $(BENCH_VENV)/ready
	$(call step,"Compile the programs of the benchmarks (a minute the first time)")
	$(CARGO) build --release --locked -p enclave-bench
	@module=benches/contestants/go; $(in_go_module) && $(GO) build -o $(CURDIR)/target/bench/bin/go .

.PHONY: bench
bench: bench-programs ## Measure everything beside the bare engine (ten minutes); ARGS="--quick", "--only tiny", "--publish"
	$(call step,"Benchmarks (under ten minutes; with --quick a minute or two)")
	$(BENCH_VENV)/bin/python benches/bench.py $(ARGS)

# What npm and pip give is pinned in benches/peers; the programs of Node stand beside their packages.
.PHONY: bench-peers
bench-peers: bench-c setup-go $(BENCH_VENV)/ready ## Measure other sandboxes beside enclave (ten minutes); ARGS="--quick", "--publish"
	$(call step,"Get the other sandboxes (a minute or two the first time)")
	@scripts/setup test
	@mkdir -p target/peers/node
	@cp benches/peers/node/*.mjs benches/peers/node/*.json benches/peers/node/.npmrc target/peers/node/
	cd target/peers/node && npm ci --ignore-scripts --silent
	@[[ -x target/peers/venv/bin/python ]] || $(PYTHON) -m venv target/peers/venv
	target/peers/venv/bin/pip install --quiet --disable-pip-version-check -r benches/peers/python/requirements.txt
	cd benches/peers/go && $(GO) build -o $(CURDIR)/target/peers/go-peers .
	$(call step,"Benchmarks (ten minutes; with --quick two)")
	$(BENCH_VENV)/bin/python benches/peers.py $(ARGS)

.PHONY: soak
soak: setup ## Run a million executions, some hostile, and see that nothing grows; N=100000 runs fewer
	$(CARGO) bench --locked -p enclave-core --bench soak -- $(N)

# --- Test

.PHONY: test
test: setup-test lint test-rust test-fuzz test-loom test-c test-conformance test-hostile test-go test-abi test-examples test-valgrind test-real test-python ## Run all checks and tests (about half an hour the first time)
	@printf '\nAll checks and tests have passed.\n'

.PHONY: setup-test
setup-test: setup
	@scripts/setup test

.PHONY: test-rust
test-rust: setup ## Run the Rust tests
	$(call step,"Rust tests (a few minutes the first time)")
	$(CARGO) test --release --locked --workspace

.PHONY: test-fuzz
test-fuzz: setup ## Run scripts that were made at random, of fixed seeds (fuzz/README.md)
	$(call step,"Scripts made at random (a minute)")
	$(CARGO) build --release --locked -p enclave-fuzz --bin fuzz-scripts
	$(SCRIPTS_BIN) fuzz/corpus/scripts/*.js
	$(SCRIPTS_BIN) --seeds 1..300

.PHONY: test-loom
test-loom: setup ## Check the concurrency of the pool in every order (loom)
	$(call step,"Models of the pool (a few minutes)")
	$(LOOM) test --release $(LOOM_FLAGS) loom

.PHONY: test-c
test-c: stage ## Run the C tests; FILTER=name runs those whose name holds it
	$(call step,"C tests (a minute)")
	@$(MAKE) $(C_TESTS)
	scripts/run-c-tests "$(FILTER)" $(C_TESTS)

CONFORMANCE := $(PYTHON) tests/conformance/driver.py --filter "$(FILTER)"
C_RUNNER := -- target/tests/c/conformance

.PHONY: test-conformance
test-conformance: stage ## Run the table of tests/conformance through the C ABI
	$(call step,"Conformance (a minute)")
	@$(MAKE) target/tests/c/conformance
	$(CONFORMANCE) $(C_RUNNER)
	@echo 'In worker processes:'
	$(CONFORMANCE) --process $(C_RUNNER)
	@echo 'With the least memory that is accepted:'
	$(CONFORMANCE) --memory-mib 16 $(C_RUNNER)
	$(CONFORMANCE) --process --memory-mib 16 $(C_RUNNER)

target/tests/c/%: tests/c/%.c $(wildcard tests/c/*.h) include/enclave.h $(LIBRARY)
	@mkdir -p $(@D)
	$(CC) -std=gnu11 -g $(WARNINGS) $< $(LINK_STAGED) -o $@

.PHONY: setup-go
setup-go:
	@scripts/setup go

.PHONY: test-go
test-go: stage setup-go ## Check and test the Go modules
	$(call step,"Go: format and vet and staticcheck (a minute the first time)")
	@unformatted=$$(gofmt -l bindings/go $(GO_PROGRAMS)); [[ -z $$unformatted ]] || { echo "gofmt these: $$unformatted"; exit 1; }
	@for module in $(GO_MODULES); do for licence in LICENSE-*; do cmp $$licence $$module/$$licence; done; done
	@for module in $(GO_MODULES) $(GO_PROGRAMS); do ($(in_go_module) && $(GO) mod tidy -diff && $(GO) vet ./... && $(GO) run $(STATICCHECK) ./...); done
	$(call step,"Go: tests and examples (a minute)")
	@for module in $(GO_MODULES); do ($(in_go_module) && $(GO) test -count=1 ./...); done
	$(call step,"Go: tests with the race detector and then with the checks of cgo while garbage is always collected (two minutes)")
	@module=bindings/go; $(in_go_module) && $(GO) test -race -count=1 .
	@module=bindings/go; $(in_go_module) && GODEBUG=cgocheck=1 GOGC=1 $(GO) test -count=1 .
	$(call step,"Go: fuzzing ($(FUZZTIME) each)")
	@module=bindings/go; $(in_go_module) && for target in $$($(GO) test -list '^Fuzz' . | grep '^Fuzz'); do \
		$(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 1s .; done
	$(call step,"Go: a program of its own; vendored; without pkg-config")
	@$(GO_ENV) GO=$(GO) tests/go/run $(STAGE)

# The settings are made where the header is, the commands run in $$module.
in_go_module = export $(GO_ENV) && cd $$module

.PHONY: test-hostile
test-hostile: stage ## Run the attacks of tests/hostile on threads and on processes; ARGS="--family cpu" and the like
	$(call step,"Attacks (five minutes)")
	@$(MAKE) target/tests/hostile
	target/tests/hostile $(ARGS)
	@echo 'On worker processes:'
	target/tests/hostile --process $(ARGS)

target/tests/hostile: $(wildcard tests/hostile/*.c tests/hostile/*.h) include/enclave.h $(LIBRARY)
	@mkdir -p $(@D)
	$(CC) -std=gnu11 $(CFLAGS) $(WARNINGS) $(filter %.c,$^) $(LINK_STAGED) -o $@

.PHONY: test-abi
test-abi: stage setup-test ## Check the symbols, the header and the installation
	$(call step,"ABI tests (a minute)")
	tests/abi/run $(STAGE)

.PHONY: test-examples
test-examples: run ## Run the examples
	[[ $$($(EXAMPLES)/hello '[1, 2, 3].map(n => n * n)') == '[1,4,9]' ]]

.PHONY: test-valgrind
test-valgrind: examples setup-test ## Run an example under valgrind
	$(call step,"Memory errors (a minute)")
	@# With workers as threads: valgrind knows no handles of processes (pidfd_open).
	tests/abi/valgrind $(EXAMPLES)/run_scripts --set isolation=0 --set max_workers=1 examples/scripts/01-count-by-species.js

.PHONY: test-real
test-real: stage setup-test ## Run libraries from npm in the pool and in Node, and compare
	$(call step,"Libraries from npm (a minute)")
	ENCLAVE_INCLUDE=$(STAGE)/include ENCLAVE_LIB=$(STAGE)/lib CC="$(CC)" tests/real/run.sh

.PHONY: test-debug-engine
test-debug-engine: stage ## Run tests with SpiderMonkey's assertions and GC zeal (half an hour; not part of `test`)
	@scripts/provision-mozjs --debug
	$(call step,"Rust tests with the debug engine (several minutes)")
	$(DEBUG_ENGINE) test -p enclave-core --features debug-engine $(DEBUG_FLAGS) --lib -- engine::
	$(DEBUG_ENGINE) test -p enclave-core --features debug-engine $(DEBUG_FLAGS) --test it -- $(OF_THE_ENGINE)
	$(DEBUG_ENGINE) test -p enclave-core --features debug-engine $(DEBUG_FLAGS) --test steady_state
	$(call step,"Rust tests under GC zeal (several minutes)")
	@for zeal in $(GC_ZEAL); do \
		echo "JS_GC_ZEAL=$$zeal"; \
		JS_GC_ZEAL=$$zeal $(DEBUG_ENGINE) test -p enclave-core --features debug-engine $(DEBUG_FLAGS) \
			--test it -- $(OF_THE_ENGINE) $(addprefix --skip ,$(TOO_SLOW_UNDER_ZEAL)); \
	done
	$(call step,"Conformance with the debug engine and under GC zeal (several minutes)")
	$(DEBUG_ENGINE) build -p enclave-capi --features enclave-core/debug-engine $(DEBUG_FLAGS)
	@$(MAKE) target/tests/c/conformance
	@ln -sf debugengine/libenclave.so target/debug-engine/libenclave.so.$(SOVERSION)
	@for zeal in 0 $(GC_ZEAL); do \
		echo "JS_GC_ZEAL=$$zeal"; \
		JS_GC_ZEAL=$$zeal LD_LIBRARY_PATH=target/debug-engine ENCLAVE_CONFORMANCE_SLOW=1 $(CONFORMANCE) $(C_RUNNER); \
	done
	$(call step,"Attacks by collections with the debug engine (a minute)")
	@$(MAKE) target/tests/hostile
	@for zeal in 0 $(firstword $(GC_ZEAL)); do \
		echo "JS_GC_ZEAL=$$zeal"; \
		JS_GC_ZEAL=$$zeal LD_LIBRARY_PATH=target/debug-engine target/tests/hostile --family collections; \
	done

# --- Fuzz

.PHONY: fuzz-build
fuzz-build: setup
	$(call step,"Build the fuzz targets (some minutes the first time)")
	$(CARGO) build --release --locked -p enclave-fuzz --bin fuzz-scripts
	RUSTC_WORKSPACE_WRAPPER=$(CURDIR)/fuzz/rustc $(CARGO) build --locked --profile $(FUZZ_PROFILE) -p enclave-fuzz \
		--features libfuzzer $(addprefix --bin ,$(FUZZ_TARGETS))

# A half of the time is for scripts, the rest for the targets in equal parts.
.PHONY: fuzz
fuzz: fuzz-build ## Look for faults with random inputs: TIME=60 seconds in all; TARGETS="cbor scripts", INPUT=FILE, SEED=N, SCRIPT=FILE
	@FUZZ_BIN=$(FUZZ_BIN) SCRIPTS_BIN=$(SCRIPTS_BIN) TIME=$(TIME) fuzz/run $(TARGETS)

.PHONY: fuzz-corpus
fuzz-corpus: fuzz-build ## Take from what `make fuzz` has kept what the committed corpus does not reach
	@for target in $(FUZZ_TARGETS); do \
		mkdir -p target/fuzz/corpus/$$target; \
		$(FUZZ_BIN)/$$target -merge=1 -max_len=400 -verbosity=0 fuzz/corpus/$$target target/fuzz/corpus/$$target; \
	done
	@du -sh --apparent-size fuzz/corpus

.PHONY: fuzz-debug-engine
fuzz-debug-engine: ## Run random scripts with SpiderMonkey's assertions and GC zeal: TIME=60 seconds for each
	@scripts/setup build
	@scripts/provision-mozjs --debug
	$(call step,"Random scripts with the debug engine ($(TIME) s each)")
	$(DEBUG_ENGINE) build -p enclave-fuzz --bin fuzz-scripts --features debug-engine $(DEBUG_FLAGS)
	@for zeal in 0 $(FUZZ_GC_ZEAL); do \
		echo "JS_GC_ZEAL=$$zeal"; \
		JS_GC_ZEAL=$$zeal target/debug-engine/debugengine/fuzz-scripts --time $(TIME); \
	done

# --- Check and format

.PHONY: lint
lint: setup-test lint-header ## Check formatting, clippy, header and documentation (warnings are errors)
	$(call step,"Lint (a few minutes the first time)")
	scripts/check-levels --self-test
	scripts/check-levels
	$(CARGO) fmt --all --check
	$(CARGO) clippy --release --locked --workspace --all-targets -- -D warnings
	$(LOOM) clippy --profile test $(LOOM_FLAGS) -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --release --locked --workspace --no-deps

.PHONY: fmt
fmt: ## Format the Rust and Go code, and the Python code once `make python` has been run
	$(CARGO) fmt --all
	gofmt -w bindings/go $(GO_PROGRAMS)
	@[[ ! -x $(VENV)/bin/ruff ]] || $(VENV)/bin/ruff format $(PACKAGE) examples/python benches

.PHONY: doc
doc: setup ## Build the documentation of the Rust crates
	$(CARGO) doc --release --locked --workspace --no-deps

$(CBINDGEN):
	@echo "Installing cbindgen $(CBINDGEN_VERSION) below target/tools (a minute)"
	@$(CARGO) install --quiet --locked --root target/tools/cbindgen-$(CBINDGEN_VERSION) cbindgen --version =$(CBINDGEN_VERSION)

.PHONY: header
header: $(CBINDGEN) ## Write include/enclave.h from capi/src
	$(CBINDGEN) --quiet --config capi/cbindgen.toml --output include/enclave.h capi

.PHONY: lint-header
lint-header: $(CBINDGEN)
	$(CBINDGEN) --quiet --config capi/cbindgen.toml --output target/enclave.h capi
	@diff -u include/enclave.h target/enclave.h || { echo 'include/enclave.h is not what capi/src says: `make header`'; exit 1; }

.PHONY: clean
clean: ## Remove what was built (SpiderMonkey stays in ~/.cache/enclave)
	rm -rf target tests/real/node_modules
