"""What a mesh has lost is told wherever a file is cut, for the file that was cut."""

from __future__ import annotations

import pytest
from test_slow_writers import app, whole

from meshfast import config
from meshfast.errors import ConfigError
from meshfast.model import Mesh
from meshfast.routing import Table
from meshfast.source.lost import lost

EVERYTHING = """\
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata:
  name: shop
spec:
  ports:
  - number: 20880
  hosts:
  - com.x.Cart
  - com.x.Stock
  endpoints:
  - address: 10.0.0.1
    labels:
      tier: stable
    weight: 30
  - address: 10.0.0.12
    weight: 20
    labels:
      tier: stable
      env: dev1
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata:
  name: shop
spec:
  host: shop
  subsets:
  - name: trunk
    labels:
      tier: stable
  - name: dev
    labels:
      tier: stable
      env: dev1
---
apiVersion: istio.alibabacloud.com/v1
kind: TrafficLabel
metadata:
  name: labels
spec:
  rules:
  - labels:
    - name: lane
    - name: env
      valueFrom:
      - $getContext(traceparent)
      - $(localLabel)
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: cart
spec:
  hosts:
  - com.x.Cart
  http:
  - route:
    - destination:
        subset: $env
      fallback:
        case: noinstances
        target: trunk
      weight: 100
    - destination:
        subset: trunk
      weight: 0
    match:
    - uri:
        prefix: /com.x.Cart/a
      headers:
        vip:
          exact: yes please
    - headers:
        vip:
          exact: very
    timeout: 2s
  - route:
    - destination:
        host: shop
        subset: trunk
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: stock
spec:
  hosts:
  - com.x.Stock
  http:
  - route:
    - destination:
        subset: trunk
"""


SHOP, SUBSETS, LABELS, CART, STOCK = EVERYTHING.split("---\n")
#: The same with other things last.
HEAVY = SHOP.replace("    weight: 20\n", "") + "    weight: 20\n"
TIMED = CART[: CART.index("  - route:\n    - destination:\n        host")]
UNTIMED = TIMED.replace("    timeout: 2s\n", "")
PASSED_ON = (
    CART[: CART.index("  - route")]
    + """\
  - route:
    - destination:
        subset: trunk
      weight: 0
    - destination:
        subset: $env
      weight: 100
      fallback:
        case: noinstances
        target: trunk
"""
)
WEIGHED = PASSED_ON.replace("weight: 0", "weight: 90").replace("      weight: 100\n", "").split("      fallback")[0]
WEIGHED += "      weight: 10\n"
CASE = "        case: noinstances\n"
BY_DEFAULT = PASSED_ON.replace(CASE, "")
BY_APP = PASSED_ON.replace("com.x.Cart", "shop/*").replace(CASE, "") + CASE
ELSEWHERE = PASSED_ON[: PASSED_ON.index("    - dest")] + "    - destination:\n        host: other\n"
HOSTS = "  hosts:\n  - com.x.Cart\n  - com.x.Stock\n"
OFFERS = SHOP.replace(HOSTS, "") + HOSTS + "  - com.x.New\n"


@pytest.mark.parametrize("cut", range(5))
@pytest.mark.parametrize("shop", [SHOP, HEAVY, OFFERS])
@pytest.mark.parametrize("cart", [CART, TIMED, UNTIMED, PASSED_ON, WEIGHED, BY_APP, BY_DEFAULT, ELSEWHERE])
def test_every_beginning_of_a_file_has_lost_something(shop: str, cart: str, cut: int) -> None:
    """Whatever is cut off behind a line: either it is refused, or it routes as before, or it is seen to say less."""
    files = [(str(i), text) for i, text in enumerate((shop, SUBSETS, LABELS, cart, STOCK))]
    files.append(("other", app("other", "10.0.0.3")))
    old = config.load_texts([(name, text.encode()) for name, text in files])
    lines = files[cut][1].splitlines(keepends=True)
    for n in range(len(lines)):
        half = "".join(lines[:n]) or "# nothing yet\n"
        try:
            new = config.load_texts([(f, half.encode() if f == str(cut) else text.encode()) for f, text in files])
        except ConfigError:
            continue
        assert str(cut) in lost(old, new) or _changes(old, new) == (0, 0), half
    assert lost(old, config.load_texts([("a", "---\n".join(text for _, text in files).encode())])) == set()


def _changes(old: Mesh, new: Mesh) -> tuple[int, int]:
    """Of services, and of labels with their sources."""
    table = Table()
    table.publish(old)
    applied = table.publish(new)
    labels = ({label.name: label.sources for label in mesh.labels} for mesh in (old, new))
    return applied.published + applied.removed, len(set(next(labels).items()) ^ set(next(labels).items()))


PORTS = """\
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata:
  name: shop
spec:
  hosts:
  - com.x.Cart
  endpoints:
  - address: 10.0.0.1
    ports:
      dubbo: 1
      tri: 2
  ports:
  - name: dubbo
    number: 20880
    protocol: DUBBO
  - name: tri
    number: 50051
    protocol: TRI
"""


@pytest.mark.parametrize("gone", ["    protocol: DUBBO\n", "      dubbo: 1\n", "      tri: 2\n", "last"])
def test_a_port_less(gone: str) -> None:
    one = PORTS.split("  - name: tri\n    number")[0].replace("      tri: 2\n", "")
    full = one if gone.endswith("DUBBO\n") else PORTS
    less = one if gone == "last" else full.replace(gone, "")
    old, new = (config.load_texts([("a", text.encode())]) for text in (full, less))
    assert lost(old, new) == {"a"} and lost(old, old) == lost(new, new) == set()
    assert (lost(new, old) == set()) == (gone == "last")  # what a port is added for


def test_what_adds_has_lost_nothing() -> None:
    old = config.load_texts([("a", EVERYTHING.encode())])
    plain = config.load_texts([("a", app("S", "10.0.0.1").encode())])
    more = EVERYTHING.replace("- com.x.Stock\n  endpoints", "- com.x.Stock\n  - com.x.New\n  endpoints")
    assert lost(old, config.load_texts([("a", more.encode()), ("b", whole(3).encode())])) == set()
    rules = "---\n" + EVERYTHING.split("---\n")[-1].replace("com.x.Stock", "com.x.S").replace(
        "subset: trunk", "host: S"
    )
    assert lost(plain, config.load_texts([("a", app("S", "10.0.0.1").encode()), ("b", rules.encode())])) == set()
    assert lost(old, config.load_texts([("a", EVERYTHING.replace("weight: 30", "weight: 40").encode())])) == set()
    assert lost(plain, config.load_texts([("a", app("S", "10.0.0.1", "10.0.0.2").encode())])) == set()
