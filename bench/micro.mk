# micro-benchmarks: primitives in C, the Python faces beside them (bench/micro/README.md)
MICRO_TOOLS := $(patsubst bench/c/%.c,$(BUILD)/bench/%,$(wildcard bench/c/bench_*.c))
$(MICRO_TOOLS): $(BUILD)/bench/%: bench/c/%.c $(wildcard bench/c/*.h) $(BUILD)/opt/libmeshfast.a
	@mkdir -p $(@D)
	$(CC) $(OPT) -Ibench/c $($(*F)_FLAGS) $< $(BUILD)/opt/libmeshfast.a -lpthread $($(*F)_LIBS) -o $@
# measured beside it where it is there
ifneq ($(wildcard /usr/include/nghttp2/nghttp2.h),)
bench_http2_FLAGS := -DWITH_NGHTTP2
bench_http2_LIBS := -lnghttp2
endif

.PHONY: bench-micro bench-micro-tools
bench-micro-tools: $(MICRO_TOOLS)
bench-micro: $(VENV)/.built bench-micro-tools ## time the primitives and the Python faces: make bench-micro MICRO=--smoke
	CC="$(CC)" $(PY) -m bench.micro $(MICRO)
