"""What Istio and ASM know and this release does not do, in two degrees. A field that changes where a call goes, or how
safe it is, refuses its document by name; one that adds only quality is taken with a warning. None is ignored silently.
"""

from __future__ import annotations

from collections.abc import Mapping

_TLS = "connections are not read beyond their protocol: they go on to where they were dialled"
_POOL = "the limits of the Sidecar hold instead"
_PATCH = "rules would be made without it"
_COPY = "no copy of a call is sent"

# By the name of the message they belong to: why it cannot be left out.
UNSUPPORTED: dict[str, dict[str, str]] = {
    "Endpoint": {"network": "gateways between networks are not used: list what can be reached"},
    "VirtualService": {"tls": _TLS, "tcp": _TLS, "dubbo": "write it as http"},
    "HTTPRoute": {
        "redirect": "calls would reach an instance that are to be sent elsewhere",
        "directResponse": "calls would reach an instance that are to be answered here",
        "rewrite": "instances would see another path than they are to",
        "fault": "calls would succeed that are to fail or to wait",
        "headers": "instances and callers would see other headers than they are to",
    },
    "HTTPRouteDestination": {"headers": "instances and callers would see other headers than they are to"},
    "TrafficPolicy": {
        "tunnel": "calls would go directly",
        "proxyProtocol": "instances would wait for its head",
    },
    "LoadBalancer": {
        "consistentHash": "calls of one key would go to any instance",
        "dynamicSubset": "route to subset: $label, which needs no such group",
    },
    "ASMSwimLaneGroup": dict.fromkeys(("defaultTrafficPolicyPatch", "defaultHttpRoutePatch"), _PATCH),
    "LaneService": dict.fromkeys(("trafficPolicyPatch", "httpRoutePatch"), _PATCH),
    "LocalityLbSetting": {"distribute": "calls would go to all localities alike"},
}  # fmt: skip

# The same for what is taken with a warning: what there is instead.
QUALITY: dict[str, dict[str, str]] = {
    "HTTPRoute": {
        "retries": "a call is made again only where nobody has executed it",
        "corsPolicy": "browsers are answered by the instance",
        "mirror": _COPY,
        "mirrors": _COPY,
        "mirrorPercentage": _COPY,
        "mirrorPercent": _COPY,
        "mirror_percent": _COPY,
    },
    "TrafficPolicy": {
        "connectionPool": _POOL,
        "outlierDetection": "who cannot be reached rests, who answers errors does not; no locality is preferred",
        "retryBudget": "there are no retries that it would bound",
    },
    "LoadBalancer": {
        "warmup": "new instances have their whole share at once",
        "warmupDurationSecs": "new instances have their whole share at once",
    },
}

# What to write instead of a value of that name.
BALANCERS: Mapping[str, str] = {"PASSTHROUGH": "calls would go to the instances listed, not to where they were dialled"}
TLS_MODES: Mapping[str, str] = dict.fromkeys(
    ("SIMPLE", "MUTUAL", "ISTIO_MUTUAL"), "calls would go out in plain text; whoever encrypts itself writes DISABLE"
)

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


def _kinds(text: str) -> frozenset[str]:
    return frozenset(text.split())


UNSUPPORTED_KINDS: dict[str, frozenset[str]] = {
    "networking.istio.io": _kinds("EnvoyFilter Sidecar"),
    "security.istio.io": _kinds("AuthorizationPolicy PeerAuthentication RequestAuthentication"),
    "extensions.istio.io": _kinds("WasmPlugin"),
    "istio.alibabacloud.com": _kinds("ASMHeaderPropagation"),
    "traffic.opensergo.io": _kinds("TrafficRouter TrafficLane TrafficLabelRule WorkloadLabelRule"),
    "gateway.networking.k8s.io": _kinds("HTTPRoute GRPCRoute TCPRoute TLSRoute UDPRoute BackendTLSPolicy"),
}

# Kinds that do not concern a sidecar, by group: they are passed over.
PASSED_KINDS: dict[str, frozenset[str]] = {
    "": _kinds(
        "ConfigMap Endpoints LimitRange Namespace Node PersistentVolume PersistentVolumeClaim Pod ResourceQuota Secret "
        "Service ServiceAccount"
    ),
    "apps": _kinds("DaemonSet Deployment ReplicaSet StatefulSet"),
    "batch": _kinds("CronJob Job"),
    "autoscaling": _kinds("HorizontalPodAutoscaler"),
    "policy": _kinds("PodDisruptionBudget"),
    "rbac.authorization.k8s.io": _kinds("ClusterRole ClusterRoleBinding Role RoleBinding"),
    "networking.k8s.io": _kinds("Ingress IngressClass NetworkPolicy"),
    "storage.k8s.io": _kinds("StorageClass"),
    "discovery.k8s.io": _kinds("EndpointSlice"),
    "apiextensions.k8s.io": _kinds("CustomResourceDefinition"),
    "admissionregistration.k8s.io": _kinds("MutatingWebhookConfiguration ValidatingWebhookConfiguration"),
    "gateway.networking.k8s.io": _kinds("Gateway GatewayClass ReferenceGrant"),
    "networking.istio.io": _kinds("Gateway ProxyConfig WorkloadGroup"),
    "telemetry.istio.io": _kinds("Telemetry"),
    "install.istio.io": _kinds("IstioOperator"),
}
