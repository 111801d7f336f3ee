# Hessian2 as real encoders write it: hessian-lite of two generations of Apache Dubbo, and hessian.js from npm
HESSIAN_NODE := $(BUILD)/hessian/node/.built
N ?= 4000

.PHONY: hessian
hessian: $(VENV)/.built ## N generated values of each real Hessian2 encoder, passed over by the core
	-$(MAKE) $(E2E_JAVA)
	-$(MAKE) $(HESSIAN_NODE)
	MESHFAST_HESSIAN_VALUES=$(N) $(PY) -m pytest -q -s tests/hessian

$(HESSIAN_NODE): tests/hessian/package.json
	@mkdir -p $(@D) && cp $< $(@D)/
	cd $(@D) && npm install --no-package-lock --no-audit --no-fund --loglevel=error
	@touch $@
