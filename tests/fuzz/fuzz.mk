# fuzzing; needs a clang with libFuzzer
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
