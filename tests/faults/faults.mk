# faults under load: a relay that misbehaves on command, callers that count what becomes of every call, and the report
FAULT_TOOLS := $(patsubst tests/faults/c/%.c,$(BUILD)/faults/%,$(filter-out %/clock.c,$(wildcard tests/faults/c/*.c)))
$(BUILD)/faults/grpc_%: tests/faults/c/grpc_%.c $(wildcard tests/faults/c/*.h bench/load/*.h) $(BUILD)/opt/libmeshfast.a
	@mkdir -p $(@D)
	$(CC) $(OPT) -Ibench/load $< $(BUILD)/opt/libmeshfast.a -o $@
$(BUILD)/faults/%: tests/faults/c/%.c $(wildcard tests/faults/c/*.h bench/load/*.h)
	@mkdir -p $(@D)
	$(CC) $(OPT) -Ibench/load $< -o $@
$(BUILD)/faults/clock.so: tests/faults/c/clock.c
	@mkdir -p $(@D)
	$(CC) $(OPT) -fPIC -shared $< -ldl -o $@

S ?= 60
.PHONY: faults
faults: $(VENV)/.built $(FAULT_TOOLS) $(BUILD)/faults/clock.so $(BUILD)/bench/dubbo_backend $(BUILD)/bench/h2_backend ## faults under load, S seconds each, on both loops; FAULTS="--only slowloris --loop epoll"
	PYTHONPATH=tests:. $(PY) -m faults --seconds $(S) $(FAULTS)
