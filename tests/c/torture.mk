# torture: the programs of many threads, under ThreadSanitizer and in the `weak` build (weak.h)
OPS      ?= 1000000 # of each program; the demand is 100000000
WEAK_OPS ?= 400000
SEEDS    ?= 1 2 3
HISTORY_OPS ?= 40000
TORTURE  := $(wildcard tests/c/*/torture_*.c)
WEAK     := $(ASAN) -DMF_WEAK -include tests/c/weak.h
$(eval $(call variant,weak,WEAK))

ENGINE_TSAN  := $(patsubst %,$(BUILD)/tsan/t/engine/test_%,engine faults limits)
TORTURE_TSAN := $(patsubst tests/c/%.c,$(BUILD)/tsan/t/%,$(TORTURE))
tsan: $(TORTURE_TSAN) $(ENGINE_TSAN) ## torture tests, OPS operations each, and the engine under ThreadSanitizer
	@set -e; for t in $^; do TSAN_OPTIONS=halt_on_error=1 $$t $(OPS); done; echo "ThreadSanitizer: 0 reports"

TORTURE_WEAK := $(patsubst tests/c/table/%.c,$(BUILD)/weak/t/table/%,$(wildcard tests/c/table/torture_*.c))
.PHONY: weak
weak: $(TORTURE_WEAK) ## torture tests with delays and late stores planted at every access to a shared word
	@set -e; for seed in $(SEEDS); do for t in $^; do TORTURE_SEED=$$seed $$t $(WEAK_OPS); done; done

HISTORIES := $(patsubst tests/c/%.c,$(BUILD)/weak/t/%,$(wildcard tests/c/table/history_*.c))
.PHONY: linear
linear: $(HISTORIES) ## record what threads did in the weak build and check that it is linearizable
	@set -e; for seed in $(SEEDS); do for t in $^; do TORTURE_SEED=$$seed $$t $(HISTORY_OPS) > $$t.$$seed; \
		$(PYTHON) tests/py/linear.py $$t.$$seed; done; done
