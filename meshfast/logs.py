"""The log: one record a line on the standard error, in UTC, never waited for."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterator

from meshfast.sink import Sink

__all__ = ["dropped", "logging_to_stderr"]

#: asyncio says there what it meets by itself: no descriptor left for an accept, say.
LOGGERS = ("meshfast", "asyncio")


class _Handler(logging.Handler):
    def __init__(self, sink: Sink) -> None:
        super().__init__()
        self.sink = sink

    def emit(self, record: logging.LogRecord) -> None:
        self.sink.put((self.format(record) + "\n").encode(errors="backslashreplace"))


_sinks: list[Sink] = []


def dropped() -> int:
    """Lines that nobody took in time."""
    return sum(sink.dropped for sink in _sinks)


@contextlib.contextmanager
def logging_to_stderr(level: int = logging.INFO) -> Iterator[None]:
    """Logs to standard error, one line a record, UTC."""
    sink = Sink(fd=2)
    _sinks.append(sink)
    handler = _Handler(sink)
    formatter = logging.Formatter("%(asctime)s.%(msecs)03dZ %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%S")
    formatter.converter = time.gmtime
    handler.setFormatter(formatter)
    for name in LOGGERS:
        logging.getLogger(name).addHandler(handler)
    logging.getLogger("meshfast").setLevel(level)
    try:
        yield
    finally:
        for name in LOGGERS:
            logging.getLogger(name).removeHandler(handler)
        sink.close()
        _sinks.remove(sink)
