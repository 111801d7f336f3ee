"""What Istio and ASM know and this release does not do, in two degrees. A field that changes where a call goes, or how
safe it is, refuses its document by name; one that adds only quality is taken with a warning. None is ignored silently.
"""

from __future__ import annotations

_POOL = "those of the Sidecar's limits hold instead"

# By the name of the message they belong to: why it cannot be left out.
UNSUPPORTED: dict[str, dict[str, str]] = {
    "VirtualService": {"dubbo": "write it as http"},
    "FaultDelay": {"exponentialDelay": "nor is it with Istio: write fixedDelay"},
    "FaultAbort": {"http2Error": "nor is it with Istio: write httpStatus or grpcStatus"},
    "TrafficPolicy": {
        "tunnel": "calls would go directly",
        "proxyProtocol": "instances would wait for its head",
    },
    "LoadBalancer": {
        "dynamicSubset": "route to subset: $label, which needs no such group",
    },
    "ASMHeaderPropagation": {"headerPrefix": "each header that goes on is a label, of which there are few: name them"},
}  # fmt: skip

# The same for what is taken with a warning: what there is instead.
QUALITY: dict[str, dict[str, str]] = {
    "Endpoint": {"network": "no gateway between networks is known: the instance is called directly"},
    "HTTPRoute": {
        "corsPolicy": "browsers are answered by the instance",
    },
    "TCPSettings": {
        "idleTimeout": _POOL,
        "tcpKeepalive": _POOL,
        "maxConnectionDuration": "connections last as long as they are used",
    },
    "HTTPSettings": {
        "idleTimeout": _POOL,
        "maxConcurrentStreams": "as many streams as the instance allows",
        "maxRequestsPerConnection": "connections are shared by callers, and kept",
        "http2KeepAlive": "an instance that is silent is asked after its first late answer",
    },
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


def _kinds(text: str) -> frozenset[str]:
    return frozenset(text.split())


UNSUPPORTED_KINDS: dict[str, frozenset[str]] = {
    "networking.istio.io": _kinds("EnvoyFilter Sidecar"),
    "security.istio.io": _kinds("AuthorizationPolicy PeerAuthentication RequestAuthentication"),
    "extensions.istio.io": _kinds("WasmPlugin"),
    "traffic.opensergo.io": _kinds("TrafficLane TrafficLabelRule WorkloadLabelRule"),
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
