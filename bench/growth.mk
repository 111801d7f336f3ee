# how cost grows with each size (bench/growth/README.md)
$(BUILD)/bench/grow: bench/growth/grow.c $(wildcard bench/c/*.h) $(BUILD)/opt/libmeshfast.a
	@mkdir -p $(@D)
	$(CC) $(OPT) -Ibench/c $< $(BUILD)/opt/libmeshfast.a -lpthread -o $@

.PHONY: growth
growth: $(VENV)/.built $(BUILD)/bench/grow ## how cost grows, with fitted exponents: make growth GROWTH=--smoke
	CC="$(CC)" $(PY) -m bench.growth $(GROWTH)
