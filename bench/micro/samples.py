"""What is measured on: the frames of bench/c/frames.h and the mesh of bench/c/world.h, made in Python."""

from __future__ import annotations

from meshfast import dubbo, hessian
from meshfast.balance import Balancer, Kind
from meshfast.changes import Abort, Delay, Fault, Headers, Level, Statuses
from meshfast.model import (
    Cluster,
    Endpoint,
    FallbackCase,
    Label,
    LabelKind,
    LabelSource,
    Mesh,
    Rule,
    Service,
    Target,
    TargetKind,
)
from meshfast.policies import Actions, Breaker, Limit, Locality, Mirror, Outlier, Place, Policy, where
from meshfast.retries import Budget, Retries, RetryOn

SERVICE = "org.apache.dubbo.demo.DemoService"
APP = 20  # services of one application
LOCALITIES = ("sh/a", "sh/b", "bj/a")


def request(*args: hessian.Value) -> bytes:
    """A request with the five usual attachments."""
    attachments = {"timeout": "3000", "remote.application": "demo-consumer"}
    return dubbo.encode_request(1, SERVICE, "sayHello", args, attachments, version="1.0.0")


def nested() -> bytes:
    """Four orders of two lines each: objects in lists in maps in a list, byte for byte as in frames.h."""
    text = hessian.encode
    line = b"\x60" + text("A-10023-77") + text("a thing that is sold by the piece, with a text over 31 bytes")
    line += b"L" + (123456789012).to_bytes(8, "big")
    order = b"H" + text("customer") + text("上海") + text("lines") + b"\x7a" + 2 * line + b"Z"
    return b"C" + text("com.x.Line") + b"\x93" + text("sku") + text("name") + text("count") + b"\x7c" + 4 * order


def name(i: int) -> str:
    """The name of a service."""
    return f"com.example.app{i // APP}.api.Service{i}"


def policy() -> Policy:
    """Every aspect that there is, with localities as ``mesh`` has them."""
    places = {where(one, {}, False): Place(i, i, local=not i) for i, one in enumerate(LOCALITIES)}
    return Policy(
        Locality(LOCALITIES, places, panic=30), Balancer(Kind.LEAST_REQUEST, warmup_ms=30_000),
        Outlier(), Breaker(1000, 100, 0, 10), Budget(),
    )  # fmt: skip


def actions(cluster: str, service: str) -> Actions:
    """What a rule may do with a call besides."""
    unavailable = Statuses(503, 14, 70)
    return Actions(
        retries=Retries(2, RetryOn.GATEWAY | RetryOn.RESET, text="gateway-error,reset"),
        fault=Fault(Delay(5, 1000), Abort(unavailable, "fault filter abort", 1000)),
        headers=(Headers((Level(("x-old",), (("x-new", "1", False),)),)),),
        mirrors=(Mirror(cluster, TargetKind.ALL, "", 1000),),
        limits=(Limit(f"limit/{service}", 1000, 1_000_000_000, 1000),),
    )


def mesh(services: int, timeout_ms: int = 0, *, app: int = APP, full: bool = False) -> Mesh:
    """So many services of applications with six instances for everybody and two with a label of their own.

    ``timeout_ms`` is the first service's: two meshes that differ in it differ in one service. ``app``: services of one
    application; ``full``: each application and each rule has all that policy can say.
    """
    clusters = {}
    for n in range((services + app - 1) // app):
        host = f"10.{n // 65536}.{n // 256 % 256}.{n % 256}"
        labels: list[dict[str, str]] = [{}] * 6 + [{"env": "env0"}, {"env": "env1"}]
        places = tuple(Endpoint(f"{host}:{20880 + i}", one, 1, LOCALITIES[i % 3]) for i, one in enumerate(labels))
        clusters[f"app{n}"] = Cluster(f"app{n}", (), places, policy=policy() if full else None)
    rules = []
    for i in range(services):
        own = f"app{i // app}"
        targets = (
            Target(own, TargetKind.LABEL, "env", 100, FallbackCase.NO_AVAILABLE, 1),
            Target(own, TargetKind.BASELINE, "env"),
        )
        does = actions(own, name(i)) if full else None
        rules.append(Service(name(i), (Rule("by-label", (), targets, 0 if i else timeout_ms, actions=does),)))
    return Mesh(clusters, tuple(rules), (Label("env", (LabelSource(LabelKind.HEADER, "env"),)),))


def yaml(applications: int) -> bytes:
    """Such a mesh as users write it: a ServiceEntry for each application, one rule for all."""
    parts = []
    for app in range(applications):
        lines = [
            "apiVersion: networking.istio.io/v1",
            "kind: ServiceEntry",
            f"metadata: {{name: app{app}}}",
            "spec:",
            f"  hosts: [{', '.join(name(i) for i in range(app * APP, app * APP + APP))}]",
            "  ports: [{name: dubbo, number: 20880, protocol: TCP}]",
            "  endpoints:",
        ]
        for i in range(8):
            labels = f", labels: {{env: env{i - 6}}}" if i >= 6 else ""
            lines.append(f"  - {{address: 10.0.{app}.{i + 1}{labels}}}")
        parts.append("\n".join(lines) + "\n")
    parts.append(
        "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: by-label}\nspec:\n"
        '  hosts: ["*"]\n  http:\n  - route:\n    - destination: {subset: $env}\n'
    )
    parts.append(
        "apiVersion: istio.alibabacloud.com/v1beta1\nkind: TrafficLabel\nmetadata: {name: env}\nspec:\n  rules:\n"
        '  - labels:\n    - {name: env, valueFrom: ["$(localLabel)"]}\n    protocols: "*"\n'
    )
    return "---\n".join(parts).encode()
