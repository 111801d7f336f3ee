# micro-benchmarks: primitives in C, the Python faces beside them (bench/micro/README.md)
MICRO := $(patsubst bench/c/%.c,$(BUILD)/bench/%,$(wildcard bench/c/bench_*.c))
$(MICRO): $(BUILD)/bench/%: bench/c/%.c $(wildcard bench/c/*.h) $(BUILD)/opt/libmeshfast.a
	@mkdir -p $(@D)
	$(CC) $(OPT) -Ibench/c $< $(BUILD)/opt/libmeshfast.a -lpthread -o $@
