# footprint: what a sidecar takes before any call (bench/footprint.py)
.PHONY: bench-footprint
bench-footprint: $(VENV)/.built ## time to ready, idle memory, memory per idle connection, time to load
	$(PY) -m bench.footprint
