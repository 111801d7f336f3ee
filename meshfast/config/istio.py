"""What Istio and ASM know and this release does not do: such a field or kind is refused by name, never ignored."""

from __future__ import annotations


def _fields(text: str) -> frozenset[str]:
    return frozenset(text.split())


# By the name of the message they belong to.
UNSUPPORTED: dict[str, frozenset[str]] = {
    "ServiceEntry": _fields("addresses exportTo subjectAltNames workloadSelector"),
    "Endpoint": _fields("network serviceAccount"),
    "DestinationRule": _fields("trafficPolicy exportTo workloadSelector"),
    "Subset": _fields("trafficPolicy"),
    "VirtualService": _fields("gateways tls tcp exportTo dubbo"),
    "HTTPRoute": _fields(
        "redirect directResponse delegate rewrite retries fault mirror mirrors mirror_percent mirrorPercent "
        "mirrorPercentage corsPolicy headers"
    ),
    "HTTPMatch": _fields("port gateways sourceNamespace statPrefix"),
    "HTTPRouteDestination": _fields("headers"),
    "Destination": _fields("port"),
}

# What to write instead of a field of that name.
INSTEAD: dict[str, str] = {
    "gateways": "every VirtualService is for this sidecar",
    "port": "what the caller speaks says which of a ServiceEntry's ports it is",
}

# Where a field goes that others write elsewhere.
MISPLACED: dict[str, str] = {
    "fallback": "it goes beside destination",
    "present": "{} means that it is there",
    "suffix": 'write regex: ".*..."',
    "wildcard": "write prefix or regex",
    "noempty": 'write regex: ".+"',
    "empty": 'write exact: ""',
    "attachTo": "it is of istio.alibabacloud.com/v1beta1",
    "protocols": "it is of istio.alibabacloud.com/v1beta1",
}

UNSUPPORTED_KINDS: dict[str, frozenset[str]] = {
    "networking.istio.io": _fields("Gateway EnvoyFilter Sidecar WorkloadEntry WorkloadGroup ProxyConfig"),
    "security.istio.io": _fields("AuthorizationPolicy PeerAuthentication RequestAuthentication"),
    "telemetry.istio.io": _fields("Telemetry"),
    "extensions.istio.io": _fields("WasmPlugin"),
    "istio.alibabacloud.com": _fields("ASMSwimLane ASMSwimLaneGroup ASMHeaderPropagation"),
    "traffic.opensergo.io": _fields("TrafficRouter TrafficLane TrafficLabelRule WorkloadLabelRule"),
}
