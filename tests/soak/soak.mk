# mixed load and churn for a long while: memory, descriptors, lost calls (tests/soak/README.md)
.PHONY: soak
soak: T ?= 20
soak: $(VENV)/.built $(CALLS_TOOLS) $(FAULT_TOOLS) ## T minutes of mixed load and churn on both loops; results in build/soak; SOAK=--counts
	PYTHONPATH=tests:. $(PY) -m soak.run --minutes $(T) $(SOAK)
