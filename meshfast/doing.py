"""What a rule does with a call besides choosing where it goes, in words: what ``explain`` prints of it."""

from __future__ import annotations

from collections.abc import Iterator

from meshfast import _core
from meshfast.changes import WHOLE, Headers, Level, Redirect, Statuses
from meshfast.errors import MeshfastError
from meshfast.httpview import path
from meshfast.model import Http
from meshfast.policies import Actions

__all__ = ["answered", "changed", "met"]


def met(actions: Actions | None) -> Iterator[str]:
    """What may become of a call before it goes anywhere."""
    fault = actions.fault if actions is not None else None
    if fault is not None and fault.delay is not None:
        yield f"{_share(fault.delay.millionths)} of calls wait {fault.delay.ms} ms"
    if fault is not None and fault.abort is not None:
        abort = fault.abort
        yield f"{_share(abort.millionths)} of calls fail with {_statuses(abort.statuses)}: {abort.text}"


def answered(actions: Actions | None, http: Http | None) -> str:
    """What callers are told in place of an instance; "" where calls go on to one."""
    if actions is not None and actions.direct is not None:
        return f"answered by the rule with {_told(actions.direct.statuses, http)}"
    if actions is not None and actions.redirect is not None:
        place = f" to {_place(actions.redirect, http)}" if http is not None else ", which HTTP alone can follow"
        return f"redirected by the rule with {_told(actions.redirect.statuses, http)}{place}"
    return ""


def changed(actions: Actions | None, target: int, http: Http | None) -> Iterator[str]:
    """What goes on otherwise than it came, to that target."""
    if actions is None:
        return
    rewrite = actions.rewrite
    headers = actions.headers[min(target, len(actions.headers) - 1)] if actions.headers else Headers()
    if rewrite is not None and http is not None:
        try:
            made = _core.change_path(rewrite, http.path or "/")
        except MeshfastError as error:
            yield f"refused: the path that the rule makes of it: {error}"
        else:
            if made is not None:
                yield f"the path becomes {made}"
    authority = (rewrite.authority if rewrite is not None else "") or headers.authority
    if authority and http is not None:
        yield f"the authority becomes {authority}"
    what = "headers" if http is not None else "attachments"
    for level in headers.request:
        yield f"{what} of the request: {_level(level)}"
    for level in headers.response if http is not None else ():
        yield f"headers of the answer: {_level(level)}"


def _level(level: Level) -> str:
    puts = [f"{'add' if beside else 'set'} {name}: {text}" for name, text, beside in level.puts]
    return ", ".join([*(f"remove {name}" for name in level.removes), *puts])


def _share(millionths: int) -> str:
    return f"{100 * millionths / WHOLE:g} %"


def _statuses(statuses: Statuses) -> str:
    return f"HTTP {statuses.http}, gRPC {statuses.grpc}, Dubbo {statuses.dubbo}"


def _told(statuses: Statuses, http: Http | None) -> str:
    return f"status {statuses.dubbo}" if http is None else f"HTTP {statuses.http} (gRPC {statuses.grpc})"


def _place(redirect: Redirect, http: Http) -> str:
    query = http.path.partition("?")[2] if "?" in http.path else None
    return _core.change_location(redirect, http.scheme, http.authority.lower(), path(http), query)
