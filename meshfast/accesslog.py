"""The access log: one line a call, formatted by the main thread from what the workers left, written by a Sink."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import msgspec

from meshfast.hints import about
from meshfast.model import AccessLog
from meshfast.record import FIELDS, parse
from meshfast.running import Running
from meshfast.sink import Sink

__all__ = ["AccessWriter", "Records"]

log = logging.getLogger("meshfast")

#: How often the workers' records are looked for, seconds.
EVERY = 0.1

#: Some of the workers' records, few enough to format before others have a turn; none: there are no more now.
Records = Callable[[], Sequence[tuple[Any, ...]]]

#: What would break a line or its columns.
_BREAKS = re.compile(r"[\s\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\"\\]")


class AccessWriter:
    """Writes records as the configuration says.

    :raises OSError: the file cannot be opened
    """

    def __init__(self, options: AccessLog, state: Running) -> None:
        self._state = state
        self._said = f"accessLog.path {options.path}"
        with self._naming():
            self._sink = Sink("" if options.path == "stderr" else options.path)
        self._line = json_line(options.fields or FIELDS) if options.format == "json" else text_line(options.format)

    def write(self, records: Iterable[tuple[Any, ...]]) -> None:
        """Formats these and hands them over; what finds no room is counted."""
        lines = [self._line(record) for record in records]
        if lines and self._sink.put(b"".join(lines)):
            self._state.access_records += len(lines)
        self._state.access_dropped = self._sink.dropped

    async def follow(self, records: Records) -> None:
        """Writes what ``records`` gives, until it is cancelled."""
        while True:
            while found := records():
                self._try(found)
                await asyncio.sleep(0)
            await asyncio.sleep(EVERY)

    def finish(self, records: Records) -> None:
        """Writes what is left, and ends."""
        while found := records():
            self._try(found)
        self.close()

    def _try(self, found: Sequence[tuple[Any, ...]]) -> None:
        try:
            self.write(found)
        except Exception:  # a mistake of ours must not end the log
            log.exception("access log: %d record(s) are lost", len(found))

    def reopen(self) -> None:
        """Opens the file anew. Raises OSError when it cannot; the old one is written to then."""
        with self._naming():
            self._sink.reopen()

    @contextmanager
    def _naming(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise about(self._said, error) from None

    def close(self) -> None:
        self._sink.close()
        self._state.access_dropped = self._sink.dropped


def json_line(fields: Sequence[str]) -> Callable[[tuple[Any, ...]], bytes]:
    """Records as JSON, one a line, with these fields in this order."""
    columns = [(name, FIELDS.index(name)) for name in fields]

    def line(record: tuple[Any, ...]) -> bytes:
        values = {name: _when(record[at]) if name == "time" else record[at] for name, at in columns}
        return msgspec.json.encode(values, enc_hook=str) + b"\n"

    return line


def text_line(text: str) -> Callable[[tuple[Any, ...]], bytes]:
    """Records as text with each ``{field}`` replaced."""
    parts = parse(text)

    def line(record: tuple[Any, ...]) -> bytes:
        out = [part if isinstance(part, str) else _shown(FIELDS[part], record[part]) for part in parts]
        return "".join(out).encode(errors="replace") + b"\n"

    return line


def _shown(name: str, value: Any) -> str:
    if name == "time":
        return _when(value)
    if name == "duration":
        return f"{value:.6f}"
    if name == "labels":
        value = ",".join(f"{key}={text}" for key, text in value.items())
    text = str(value)
    return _BREAKS.sub(_escaped, text) if text else "-"


def _escaped(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"


def _when(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
