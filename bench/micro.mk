# micro-benchmarks: primitives in C, the Python faces beside them (bench/micro/README.md)
MICRO_TOOLS := $(patsubst bench/c/%.c,$(BUILD)/bench/%,$(wildcard bench/c/bench_*.c))
$(MICRO_TOOLS): $(BUILD)/bench/%: bench/c/%.c $(wildcard bench/c/*.h) $(BUILD)/opt/libmeshfast.a
	@mkdir -p $(@D)
	$(CC) $(OPT) -Ibench/c $< $(BUILD)/opt/libmeshfast.a -lpthread -o $@

.PHONY: bench-micro bench-micro-tools
bench-micro-tools: $(MICRO_TOOLS)
bench-micro: $(VENV)/.built bench-micro-tools ## time the primitives and the Python faces: make bench-micro MICRO=--smoke
	CC="$(CC)" $(PY) -m bench.micro $(MICRO)
