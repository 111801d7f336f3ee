"""Types of the extension module, part by part as in bind/."""

# --- codec: meshfast/dubbo.py is its public face

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

_Bytes = bytes | bytearray | memoryview
_Head = tuple[bool, bool, bool, int, int, int, int]

def dubbo_parse_head(data: _Bytes, max_body: int = 0x7FFFFFFF) -> _Head | None: ...

class DubboRequest:
    """One request, read as far as routing needs. Holds the buffer it was read from; text is made when asked for."""

    def __init__(self, frame: _Bytes) -> None: ...
    @property
    def head(self) -> _Head:
        """The head as ``dubbo_parse_head`` gives it."""
    @property
    def dubbo_version(self) -> str:
        """The protocol version of the caller, "2.0.2"; empty when null."""
    @property
    def service(self) -> str:
        """The interface, "org.apache.dubbo.demo.DemoService"; empty when null or opaque."""
    @property
    def version(self) -> str:
        """The service's version; empty when null."""
    @property
    def method(self) -> str:
        """The method that is meant: of a generic call, its first argument."""
    @property
    def invoked(self) -> str:
        """The method on the wire; differs from ``method`` for ``$invoke`` and ``$invokeAsync``."""
    @property
    def parameter_types(self) -> str:
        """The descriptor of the arguments, "Ljava/lang/String;[I"; empty for none."""
    @property
    def timeout(self) -> int | None:
        """The attachment ``timeout`` in milliseconds, text or number; None when absent or unreadable."""
    @property
    def is_generic(self) -> bool:
        """True for a generic call."""
    @property
    def is_complete(self) -> bool:
        """False when the body ends behind the leading strings, or the attachments cannot be read."""
    @property
    def is_opaque(self) -> bool:
        """True for a serialization that is not read. The strings are set all the same where they can be (Java's)."""
    @property
    def attachments(self) -> dict[str, str]:
        """The attachments that are text, by key; the later of two wins, as in Java. Others are left out."""
    def stamped(self, pairs: Iterable[tuple[str, str]]) -> bytes:
        """The frame with attachments added at the end. Raises ProtocolError when it has none to append to."""

def dubbo_error(request_id: int, serialization: int, status: int, text: str) -> bytes: ...
def dubbo_heartbeat(request_id: int) -> bytes: ...
def dubbo_readonly() -> bytes: ...
def dubbo_event(serialization: int, body: _Bytes) -> str: ...
def dubbo_serialization_name(serialization: int) -> str: ...
def dubbo_status_name(status: int) -> str: ...
def traceid(key: str, value: str) -> str: ...
# --- bind/loop.pxi

LOOP_READ: int
LOOP_WRITE: int
LOOP_ERROR: int

class Loop:
    """The native loop: descriptors to watch, and the engine's sockets when one is embedded in it.

    ``backend`` is "auto", "epoll" or "io_uring"; ``why`` says why "auto" did not choose io_uring, else None. One
    thread registers and turns: with io_uring the thread of the first turn is the only one that ever may. Everything
    raises RuntimeError once the loop is closed.
    """

    why: str | None

    def __init__(self, backend: str = "auto", *, read_size: int = 0, ring_entries: int = 0) -> None: ...
    def close(self) -> None:
        """Closes the loop, and every socket of an engine in it. Again is harmless."""

    @property
    def closed(self) -> bool: ...
    @property
    def name(self) -> str:
        """The backend in use: "epoll" or "io_uring"."""

    def fileno(self) -> int:
        """A descriptor that is readable when a turn has something to do."""

    def register(self, fd: int, events: int) -> None:
        """Watches ``fd`` for LOOP_READ, LOOP_WRITE or both, level-triggered.

        Raises KeyError when it is watched already, OSError (EPERM) for a regular file, (EBADF) for none.
        """

    def modify(self, fd: int, events: int) -> None:
        """Changes what ``fd`` is watched for. Raises KeyError, OSError."""

    def unregister(self, fd: int) -> None:
        """Watches ``fd`` no more. Raises KeyError. A descriptor that was closed meanwhile is no error."""

    def turn(self, timeout: float = -1.0) -> list[tuple[int, int]]:
        """Waits until a watched descriptor is ready, at most ``timeout`` seconds (negative: no limit).

        Returns (fd, events) pairs; LOOP_ERROR is added for an error or a hang-up. Serves the engine's sockets and
        timers meanwhile. Gives the GIL up unless ``timeout`` is 0. Signal handlers run; what they raise, this raises,
        else the wait goes on.
        """

    def wake(self) -> None:
        """Ends the C loop's wait, from any thread; a ``turn`` with nothing ready goes back to waiting."""

    def counts(self) -> dict[str, int]:
        """What the loop has done: turns, waits, syscalls, reads, writes, accepts, accept_failures, bytes_in/out."""

# --- table: meshfast/apply.py writes it, meshfast/routing.py is its public face

_TextPairs = Mapping[str, str] | Iterable[tuple[str, str]]
_Source = tuple[int, str, int]  # kind, text, format: LabelSource of meshfast/model.py

def error_text(code: int) -> str:
    """The core's own words for an error code."""

class Cluster:
    """The instances of one application, sealed. Made by ``Table.cluster``; keeps its table alive."""

class Prepared:
    """A service built aside, not yet seen by readers. Made by ``Table.service``; ``Table.publish`` uses it up."""

class Table:
    """The native label table, ``csrc/table/table.h``. One thread uses it: the one that writes."""

    def __len__(self) -> int: ...
    def cluster(
        self,
        host: str,
        endpoints: Iterable[tuple[str, _TextPairs, int]],
        subsets: Iterable[tuple[str, _TextPairs]] = (),
    ) -> Cluster:
        """A sealed cluster. ``endpoints``: (address, labels, weight 1..65535) each; ``subsets``: (name, labels)."""
    def service(self, name: str, pattern: int, rules: Iterable[tuple[int, Iterable[Any], Iterable[Any]]]) -> Prepared:
        """A service, built aside. ``rules``: (timeout_ms, matches, targets) each; a match is a list of
        (field, key, op, value), a target (cluster, kind, text, weight, on, fallback or None).

        :raises LimitError: a fallback that points nowhere or in a circle, a broken expression, too many of something
        """
    def publish(self, service: Prepared) -> None:
        """Makes a service visible to readers, in place of the one of the same name and pattern."""
    def remove(self, name: str, pattern: int) -> None:
        """Takes a service away. Raises StateError when there is none."""
    def publish_labels(self, labels: Sequence[tuple[str, Sequence[_Source]]], traces: Sequence[_Source]) -> None:
        """The label plan: at most 16 labels with 8 sources each, and 8 keys of trace ids."""
    def reclaim(self) -> int:
        """Frees what no reader can see any more; how much still waits."""
    def explain(
        self, service: str, method: str, headers: _TextPairs, labels: Mapping[str, str], random: int
    ) -> tuple[int, str, int, int, int, list[tuple[str, int, int, int, int, str]]]:
        """(code, address, rule, timeout_ms, fallbacks, steps); a step is (kind, rule, match, condition, target, text).

        ``code`` is 0, or the core's error, and then ``address`` is empty. ``random``: 64 bits.
        """
    def stats(self) -> list[dict[str, Any]]:
        """What every service, application and subset has counted, ``csrc/table/stat.h``: a dict each. ``latency`` is
        (upper bound in seconds or None, count) for each bucket; ``status`` the count by Dubbo status."""
    def peers(self) -> dict[str, bool]:
        """Every address that calls may be sent to -> whether it is available now."""

class TraceMemory:
    """Labels by trace id, shared by all workers, ``csrc/table/trace.h``. ``ttl_ns``: how long one is remembered."""

    def __init__(self, entries: int = 65536, ttl_ns: int = 300_000_000_000) -> None: ...
    def put(self, trace_id: str | bytes, label: int, value: str | bytes) -> None:
        """Remembers a value. Raises LimitError when id or value is empty or longer than 64 bytes."""
    def find(self, trace_id: str | bytes, label: int) -> str | None:
        """The value, or None."""
