"""Types of the extension module, part by part as in bind/."""

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
