# The verbs of this project; `make help` lists them.
PYTHON ?= python3
VENV   := .venv
PY     := $(VENV)/bin/python
BUILD  := build
CC     ?= gcc

CSRC   := $(filter-out %/main.c,$(wildcard csrc/*/*.c))
CTESTS := $(wildcard tests/c/*/test_*.c)
WARN   := -std=c11 -D_GNU_SOURCE -Wall -Wextra -Wshadow -Wstrict-prototypes -Werror -Icsrc
ASAN   := $(WARN) -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=undefined
TSAN   := $(WARN) -O1 -g -fsanitize=thread
OPT    := $(WARN) -O2 -g

.PHONY: all help test test-c test-py tsan clean distclean lib
.DELETE_ON_ERROR:

all: $(VENV)/.built ## build all into .venv

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | sort

test: test-c test-py ## all tests that need no foreign peer

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

lib: $(BUILD)/opt/libmeshfast.a ## the C library, optimised

ASAN_TESTS := $(patsubst tests/c/%.c,$(BUILD)/asan/t/%,$(CTESTS))
test-c: $(ASAN_TESTS) ## C tests under AddressSanitizer and UndefinedBehaviorSanitizer
	@set -e; for t in $^; do ASAN_OPTIONS=detect_leaks=1 $$t; done; echo "C tests: $(words $(CTESTS)) programs passed"

TSAN_TESTS := $(patsubst tests/c/%.c,$(BUILD)/tsan/t/%,$(wildcard tests/c/*/torture_*.c))
tsan: $(TSAN_TESTS) ## torture tests under ThreadSanitizer
	@set -e; for t in $^; do TSAN_OPTIONS=halt_on_error=1 $$t; done

# --- Python
$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet --upgrade pip

$(VENV)/.built: $(VENV)/bin/python pyproject.toml setup.py $(wildcard csrc/*.h csrc/*/*.h csrc/*/*.c meshfast/*.pyx meshfast/*.pxd meshfast/bind/*.pxi)
	$(PY) -m pip install --quiet -e '.[test]'
	@touch $@

test-py: $(VENV)/.built ## Python tests
	$(PY) -m pytest -q tests/py

clean: ## remove what was built
	rm -rf $(BUILD) meshfast/*.so meshfast/_core.c $(VENV)/.built
distclean: clean ## and the virtual environment
	rm -rf $(VENV) .cache *.egg-info

# --- fuzzing; needs a clang with libFuzzer
FUZZCC ?= $(firstword $(foreach c,clang clang-19 clang-18 clang-17,$(shell command -v $(c))) clang)
T ?= 60
FUZZERS := $(patsubst tests/fuzz/%.c,$(BUILD)/fuzz/%,$(wildcard tests/fuzz/fuzz_*.c))
$(BUILD)/fuzz/%: tests/fuzz/%.c $(wildcard csrc/base/*.[ch] csrc/codec/*.[ch])
	@mkdir -p $(@D)
	$(FUZZCC) $(WARN) -O1 -g -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined \
		$< $(wildcard csrc/base/*.c csrc/codec/*.c) -o $@

.PHONY: fuzz
fuzz: $(FUZZERS) ## fuzz the parsers, T seconds each
	@$(PYTHON) tests/fuzz/seeds.py $(BUILD)/fuzz/seeds
	@set -e; for f in $^; do mkdir -p $$f.corpus; \
		$$f -max_total_time=$(T) -max_len=4096 -artifact_prefix=$(BUILD)/fuzz/ $$f.corpus $(BUILD)/fuzz/seeds; done
