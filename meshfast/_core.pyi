"""Types of the extension module, part by part as in bind/."""

# --- codec: meshfast/dubbo.py is its public face

from collections.abc import Iterable

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
