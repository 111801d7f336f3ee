# a million calls whose ids collide, every answer compared with its question (tests/calls/README.md)
CALLS_TOOLS := $(BUILD)/calls/ask $(BUILD)/calls/answer
$(BUILD)/calls/%: tests/calls/%.c $(wildcard tests/calls/*.h bench/load/*.h)
	@mkdir -p $(@D)
	$(CC) $(OPT) -Ibench/load $< -o $@

.PHONY: million
million: $(VENV)/.built $(CALLS_TOOLS) ## 10^6 calls a loop with equal and colliding ids, all answers compared; MILLION='--calls 10000000'
	PYTHONPATH=tests $(PY) -m calls.million $(MILLION)
