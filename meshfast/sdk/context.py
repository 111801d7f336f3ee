"""What goes along with a call: the traffic label and the trace, from the call that is being served to those made in it.

Both are context variables: every task and thread that copies its context has its own, so no call gets another's.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from importlib import import_module
from typing import Any

from meshfast.hessian import Value

__all__ = [
    "CARRIED", "OWN", "attach", "carried", "incoming", "labelled", "outgoing", "replying", "served", "telemetry",
]  # fmt: skip

log = logging.getLogger("meshfast.sdk")

#: Attachments of the call that is being served, by which its own calls are made. Set by what serves.
incoming: ContextVar[Mapping[str, Any]] = ContextVar("meshfast_incoming")
#: Attachments that go with the answer to it.
replying: ContextVar[dict[str, Value]] = ContextVar("meshfast_replying")
#: Attachments that the application has set for all calls made in a block; see ``labelled``.
_labels: ContextVar[Mapping[str, str]] = ContextVar("meshfast_labels")

#: Attachments that are Dubbo's own word on one call, and end with it.
OWN = frozenset({
    "_TO", "_isCallbackServiceProxy", "async", "closing", "codec", "consumer-url", "dubbo", "dubboApplication",
    "generic", "group", "id", "input", "interface", "invocation_need_mode", "isCallBackService", "method", "output",
    "path", "payload", "peer", "protocol", "remote.application", "return", "sent", "serialization", "serialization_id",
    "service.id", "side", "tag.force", "timeout", "timeout-countdown", "token", "version",
})  # fmt: skip
#: How many are carried on, and how long one may be with its name: what a stranger sends grows no request without end.
CARRIED = 64
LENGTH = 8192


def carried(attachments: Mapping[str, Any], only: frozenset[str] | None = None) -> dict[str, str]:
    """Those that go on with calls made meanwhile: all that are not Dubbo's own, or those named by ``only``."""
    found: dict[str, str] = {}
    for key, value in attachments.items():
        wanted = key in only if only is not None else key not in OWN
        if wanted and type(value) is str and len(key) + len(value) <= LENGTH and len(found) < CARRIED:
            found[key] = value
    return found


@contextmanager
def labelled(**labels: str) -> Iterator[None]:
    """Every call made in this block, by this task or thread, has these attachments: ``labelled(env="dev1")``."""
    token = _labels.set({**_labels.get({}), **labels})
    try:
        yield
    finally:
        _labels.reset(token)


def served(attachments: Mapping[str, Any]) -> None:
    """From here on this task serves a call that came with these. Nothing goes along of where serving was begun: that
    may have been in a block of ``labelled``, or in a span of its start."""
    incoming.set(attachments)
    replying.set({})
    _labels.set({})
    if telemetry() is not None:
        try:
            spans = import_module("opentelemetry.context")
            spans.attach(spans.Context())
        except Exception as error:
            log.debug("OpenTelemetry cannot be told that a call is served: %r", error)


def attach(attachments: Mapping[str, Value] | None = None, /, **more: Value) -> None:
    """These go back with the answer to the call that is being served. LookupError where none is."""
    replying.get().update({**(attachments or {}), **more})


def outgoing(only: frozenset[str] | None, own: Mapping[str, Value] | None) -> Mapping[str, Value] | None:
    """The attachments of a call that is made now; of equal names the call's ``own`` wins, then the tracer's, then
    those of ``labelled``, then those that came in."""
    came, labels, inject = incoming.get(None), _labels.get(None), telemetry()
    if not came and not labels and inject is None:
        return own
    made: dict[str, Value] = dict(carried(came, only)) if came else {}
    if labels:
        made.update(labels)
    if inject is not None:
        made.update(_spans(inject))
    if own:
        made.update(own)
    return made


def _spans(inject: Callable[[dict[str, str]], None]) -> dict[str, str]:
    """A tracer that fails costs its own headers, and no call."""
    found: dict[str, str] = {}
    try:
        inject(found)
    except Exception as error:
        log.debug("OpenTelemetry gives no headers: %r", error)
    return found


_inject: Callable[[dict[str, str]], None] | None = None
_looked = False


def telemetry() -> Callable[[dict[str, str]], None] | None:
    """``opentelemetry.propagate.inject``, where the application has OpenTelemetry; looked for once."""
    global _inject, _looked
    if not _looked:
        _looked, _inject = True, None
        try:
            _inject = import_module("opentelemetry.propagate").inject
        except ImportError:
            pass
        except Exception as error:  # what another library does at import is not this call's business
            log.warning("OpenTelemetry is left alone, it cannot be loaded: %r", error)
    return _inject
