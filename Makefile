# The verbs of this project; `make help` lists them.
PYTHON ?= python3
VENV   := .venv
PY     := $(VENV)/bin/python
BUILD  := build
ifeq ($(origin CC),default) # make has one of its own, which a machine with gcc alone may not have
CC     := gcc
endif

CSRC   := $(filter-out %/main.c,$(wildcard csrc/*/*.c))
CTESTS := $(wildcard tests/c/*/test_*.c)
WARN   := -std=c11 -D_GNU_SOURCE -Wall -Wextra -Wshadow -Wstrict-prototypes -Werror -Icsrc
ASAN   := $(WARN) -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=undefined
TSAN   := $(WARN) -O1 -g -fsanitize=thread
OPT    := $(WARN) -O2 -g

.PHONY: all help test test-c test-py test-embed peers-left tsan arm64 lint fmt clean distclean lib
.DELETE_ON_ERROR:

all: $(VENV)/.built ## build all into .venv

help: ## this list
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | sort

test: test-py test-c test-embed peers-left ## all tests that need no foreign peer

# --- C: the same sources three times: sanitized, thread-sanitized, optimised
define variant
$(BUILD)/$(1)/%.o: csrc/%.c
	@mkdir -p $$(@D)
	$(CC) $$($(2)) -fPIC -MMD -MP -c $$< -o $$@
$(BUILD)/$(1)/libmeshfast.a: $(patsubst csrc/%.c,$(BUILD)/$(1)/%.o,$(CSRC))
	@rm -f $$@
	ar rcs $$@ $$^
$(BUILD)/$(1)/t/%: tests/c/%.c tests/c/test.h $(BUILD)/$(1)/libmeshfast.a
	@mkdir -p $$(@D)
	$(CC) $$($(2)) -Itests/c -MMD -MP -MF $$@.d $$< $(BUILD)/$(1)/libmeshfast.a -lpthread -o $$@
-include $(patsubst csrc/%.c,$(BUILD)/$(1)/%.d,$(CSRC))
endef
$(eval $(call variant,asan,ASAN))
$(eval $(call variant,tsan,TSAN))
$(eval $(call variant,opt,OPT))
$(eval $(call variant,arm64,ARM))

# --- tables that are committed; tests/rules/test_tables.py holds them to their generators
TABLES := $(patsubst %.py,%_tbl.h,$(wildcard csrc/codec/*.py))
.PHONY: tables
tables: $(TABLES) ## write the generated tables anew
csrc/codec/%_tbl.h: csrc/codec/%.py
	$(PYTHON) $< > $@

lib: $(BUILD)/opt/libmeshfast.a ## the C library, optimised

ASAN_TESTS := $(patsubst tests/c/%.c,$(BUILD)/asan/t/%,$(CTESTS))
test-c: $(ASAN_TESTS) ## C tests under AddressSanitizer and UndefinedBehaviorSanitizer
	@set -e; for t in $^; do ASAN_OPTIONS=detect_leaks=1 $$t; done; echo "C tests: $(words $(CTESTS)) programs passed"

test-embed: $(BUILD)/opt/embed ## a C program with meshfast.h and libmeshfast.a alone, without Python
	@$< && ! ldd $< | grep -q python
$(BUILD)/opt/embed $(BUILD)/opt/serve: $(BUILD)/opt/%: tests/embed/%.c $(BUILD)/opt/libmeshfast.a
	$(CC) $(OPT) $< $(BUILD)/opt/libmeshfast.a -lpthread -o $@

# --- Python
$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet --upgrade pip

$(VENV)/.built: $(VENV)/bin/python pyproject.toml setup.py $(wildcard csrc/*.h csrc/*/*.h csrc/*/*.c meshfast/*.pyx meshfast/*.pxd meshfast/bind/*.pxi)
	$(PY) -m pip install --quiet -e '.[test]'
	@touch $@

# Some of them make what they need, from the optimised library: not while that is made beside them.
test-py: $(VENV)/.built | test-embed ## Python tests and the house rules
	MAKEFLAGS= $(PY) -m pytest -q tests/py tests/rules

peers-left: $(VENV)/.built
	@n=$$($(PY) -m pytest -q --collect-only tests/e2e 2>/dev/null | grep -c '::'); \
	echo "$$n foreign-peer tests were skipped; \`make interop\` installs the peers and runs them"

lint: $(VENV)/.built ## ruff and mypy, check only
	$(PY) -m ruff check .
	$(PY) -m mypy
fmt: $(VENV)/.built ## what ruff can mend
	$(PY) -m ruff check --fix .

# --- the extension itself under the sanitizers: the demonstration and the tests that start an engine
ASAN_PY  := $(BUILD)/asan-py
ASAN_RUN := LD_PRELOAD="$$($(CC) -print-file-name=libasan.so) $$($(CC) -print-file-name=libubsan.so)" \
	ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=halt_on_error=1 PYTHONMALLOC=malloc PYTHONPATH=$(CURDIR)/$(ASAN_PY)
.PHONY: asan
asan: $(VENV)/.built ## engine tests and the demonstration with a sanitized extension
	MESHFAST_SANITIZE=1 $(PY) setup.py -q build --build-lib $(ASAN_PY) --build-temp $(BUILD)/asan-tmp
	cd tests/py && $(ASAN_RUN) $(CURDIR)/$(PY) -P -m pytest -q -p no:cacheprovider test_embed.py test_sidecar.py
	cd $(BUILD) && $(ASAN_RUN) $(CURDIR)/$(PY) -P -m meshfast demo --dir $(CURDIR)/$(BUILD)/demo-asan

# --- arm64: the C tests, cross-compiled and run under qemu-user, which has no io_uring
ARM_CC ?= aarch64-linux-gnu-gcc
ARM    := $(WARN) -O1 -g -static
ARM_TESTS := $(patsubst tests/c/%.c,$(BUILD)/arm64/t/%,$(CTESTS))
arm64: ## C tests for arm64 under qemu-user
	@$(MAKE) --no-print-directory CC=$(ARM_CC) $(ARM_TESTS)
	@printf '%s\n' $(ARM_TESTS) | xargs -P 2 -n 1 qemu-aarch64

.PHONY: nightly
nightly: $(VENV)/.built ## the long proofs, which CI does in short: some three hours on two quiet cores
	.ci/nightly

clean: ## remove what was built
	rm -rf $(BUILD) meshfast/*.so meshfast/_core.c $(VENV)/.built
distclean: clean ## and the virtual environment
	rm -rf $(VENV) .cache *.egg-info

# --- demonstration
.PHONY: demo
demo: $(VENV)/.built ## applications and a sidecar beside each: calls, checked; DEMO=regions: in three data centres; DEMO=registry: with a registry
	$(VENV)/bin/meshfast demo --dir $(BUILD)/demo $(DEMO)

# --- what a room needs for itself is beside it
include $(sort $(wildcard tests/*/*.mk bench/*.mk))
