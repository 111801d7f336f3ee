"""A case of the judge as our own documents, and what is decided here beside what was judged."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Mapping
from typing import Any

import yaml

from meshfast import config
from meshfast.errors import StateError
from meshfast.model import Mesh
from meshfast.routing import Route, Table

from .judge import HOST, SERVICE, Call, Case, Verdict
from .twins import unlike

LOOKUPS = 2000
#: A normal deviate that chance gives once in 10 million times.
UNLIKELY = 5.2
WEIGHT = 100  # of a provider that says none


def texts(case: Case) -> list[tuple[str, bytes]]:
    """What a sidecar beside the consumer would be told: where it stands, who offers, and the rules as they are."""
    spec = {"workload": {"app": case.app, "address": HOST, "labels": dict(case.params)}}
    own: list[dict[str, Any]] = [{"apiVersion": "meshfast.io/v1", "kind": "Sidecar", "spec": spec}]
    for app in dict.fromkeys(one.app for one in case.providers):
        endpoints = []
        for one in case.providers:
            if one.app == app:
                host, _, port = one.address.rpartition(":")
                weight = int(one.params.get("weight", WEIGHT))
                labels = {**one.params}
                endpoints.append({"address": host, "ports": {"dubbo": int(port)}, "labels": labels, "weight": weight})
        spec = {
            "hosts": [SERVICE],
            "ports": [{"name": "dubbo", "number": 20880, "protocol": "DUBBO"}],
            "resolution": "STATIC",
            "endpoints": endpoints,
        }
        kind = {"apiVersion": "networking.istio.io/v1", "kind": "ServiceEntry", "metadata": {"name": app}}
        own.append({**kind, "spec": spec})
    rules = [(f"rule-{i}.yaml", one.text.encode()) for i, one in enumerate(case.documents)]
    return [("own.yaml", yaml.safe_dump_all(own).encode()), *rules]


def mesh(case: Case) -> Mesh:
    return config.load_texts(texts(case))


def compare(case: Case, verdict: Verdict) -> list[str]:
    """What is decided otherwise than judged, call by call."""
    table = Table()
    table.publish(mesh(case))
    draw = random.Random(case.name)
    found = []
    for call, counts in zip(case.calls, verdict.calls, strict=True):
        if any(left.startswith("!") for left in counts):
            continue  # what makes Dubbo throw is no rule to keep to
        routes = [_lookup(table, call, draw) for _ in range(LOOKUPS)]
        ours = Counter("" if one is None else one.address for one in routes)
        wanted = _shares(case, verdict, counts)
        if (len(counts) == 1 and set(ours) != set(wanted)) or _apart(wanted, ours) > UNLIKELY:
            found.append(f"{call}\n  judged {counts}: {_round(wanted)}\n  ours {dict(ours)}")
        timeouts = _timeouts(case, verdict, call)
        for route in {one.address: one for one in routes if one is not None}.values():
            if route.timeout_ms != timeouts[route.address]:
                found.append(f"{call}\n  {route.address}: timeout {route.timeout_ms}, judged {timeouts[route.address]}")
    return found


def _lookup(table: Table, call: Call, draw: random.Random) -> Route | None:
    arguments = [value if isinstance(value, str) else json.dumps(value) for _, value in call.arguments]
    try:
        return table.lookup(
            SERVICE, call.attachments, method=call.method, arguments=arguments, random=draw.getrandbits(64)
        )
    except StateError:
        return None


def _shares(case: Case, verdict: Verdict, counts: Mapping[str, int]) -> dict[str, float]:
    """How many calls each provider should get, by its weight among those that are left; "": nobody. In all as many as
    the judge was asked for, or where it always said the same, as we are."""
    weights = {
        one.address: int(params.get("weight", WEIGHT))
        for one, params in zip(case.providers, verdict.params, strict=True)
    }
    shares: dict[str, float] = {}
    for left, n in counts.items():
        addresses = left.split()
        whole = sum(weights[one] for one in addresses)
        calls = n if len(counts) > 1 else LOOKUPS
        for one in addresses or [""]:
            shares[one] = shares.get(one, 0) + (calls * weights[one] / whole if one else calls)
    return shares


def _apart(wanted: Mapping[str, float], ours: Mapping[str, int]) -> float:
    names = sorted({*wanted, *ours})
    return unlike([round(wanted.get(one, 0)) for one in names], [ours.get(one, 0) for one in names])


def _round(shares: Mapping[str, float]) -> dict[str, int]:
    return {one: round(share) for one, share in shares.items()}


def _timeouts(case: Case, verdict: Verdict, call: Call) -> dict[str, int]:
    return {
        one.address: int(params.get(f"{call.method}.timeout", params.get("timeout", 0)))
        for one, params in zip(case.providers, verdict.params, strict=True)
    }
