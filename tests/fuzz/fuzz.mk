# fuzzing; `make fuzz` needs a clang with libFuzzer, `make test` replays the kept corpus with any compiler
FUZZCC ?= $(firstword $(foreach c,clang clang-19 clang-18 clang-17,$(shell command -v $(c))) clang)
T ?= 60
FUZZ := $(patsubst tests/fuzz/fuzz_%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
FUZZFLAGS := $(WARN) -Itests/c -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=undefined \
	-fprofile-instr-generate -fcoverage-mapping

$(BUILD)/fuzz/o/%.o: csrc/%.c
	@mkdir -p $(@D)
	$(FUZZCC) $(FUZZFLAGS) -fsanitize=fuzzer-no-link -MMD -MP -c $< -o $@
$(BUILD)/fuzz/libmeshfast.a: $(patsubst csrc/%.c,$(BUILD)/fuzz/o/%.o,$(CSRC))
	@rm -f $@
	ar rcs $@ $^
$(BUILD)/fuzz/fuzz_%: tests/fuzz/fuzz_%.c $(BUILD)/fuzz/libmeshfast.a
	$(FUZZCC) $(FUZZFLAGS) -fsanitize=fuzzer -MMD -MP -MF $@.d $< $(BUILD)/fuzz/libmeshfast.a -lpthread -o $@
-include $(patsubst csrc/%.c,$(BUILD)/fuzz/o/%.d,$(CSRC)) $(patsubst %,$(BUILD)/fuzz/fuzz_%.d,$(FUZZ))

.PHONY: fuzz fuzz-keep test-fuzz
fuzz: $(patsubst %,$(BUILD)/fuzz/fuzz_%,$(FUZZ)) ## fuzz every parser and a pair of connections, T seconds each; coverage
	FUZZCC=$(FUZZCC) $(PYTHON) tests/fuzz/run.py $(BUILD)/fuzz $(T) $(FUZZ)
fuzz-keep: $(patsubst %,$(BUILD)/fuzz/fuzz_%,$(FUZZ)) ## put what fuzzing found into the kept corpus, as little as covers the same
	FUZZCC=$(FUZZCC) $(PYTHON) tests/fuzz/run.py --keep $(BUILD)/fuzz 0 $(FUZZ)

# --- the kept corpus, without clang: each input once
$(BUILD)/asan/replay_%: tests/fuzz/fuzz_%.c tests/fuzz/replay.c $(BUILD)/asan/libmeshfast.a
	$(CC) $(ASAN) -Itests/c -MMD -MP -MF $@.d $< tests/fuzz/replay.c $(BUILD)/asan/libmeshfast.a -lpthread -o $@
-include $(patsubst %,$(BUILD)/asan/replay_%.d,$(FUZZ))
test: test-fuzz
test-fuzz: $(patsubst %,$(BUILD)/asan/replay_%,$(FUZZ)) ## replay the kept fuzzing corpus
	@set -e; for t in $(FUZZ); do $(BUILD)/asan/replay_$$t $$(ls tests/fuzz/corpus/$$t.txt tests/fuzz/found/$$t.txt 2>/dev/null); done
