"""Types of the extension module, part by part as in bind/."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, TypeVar, overload

from meshfast.policies import Actions, Policy

# --- bind/codec.pxi: meshfast/dubbo.py is its public face

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
        """The attachments that are text, by key, as Java has them: ``dubbo``, ``path`` and ``version`` from the leading
        strings, then those of the map; the later of two wins. A list of one text is that text; a key whose last value
        is not text is left out."""
    def stamped(self, pairs: Iterable[tuple[str, str]]) -> bytes:
        """The frame with attachments added at the end. Raises ProtocolError when it has none to append to."""

def dubbo_error(request_id: int, serialization: int, status: int, text: str) -> bytes: ...
def dubbo_heartbeat(request_id: int) -> bytes: ...
def dubbo_readonly() -> bytes: ...
def dubbo_writeable() -> bytes: ...
def dubbo_event(serialization: int, body: _Bytes) -> str: ...
def dubbo_serialization_name(serialization: int) -> str: ...
def dubbo_status_name(status: int) -> str: ...
def traceid(key: str, value: str) -> str: ...

# --- bind/exchange.pxi

def exchange(fd: int, frame: bytes, milliseconds: int) -> tuple[int, bytes | None, int]:
    """Sends a frame to a stream that blocks, unless something came already, and takes what comes next: for milliseconds
    at most, or as long as the stream itself waits where they are negative. How many bytes were sent, what came (None:
    nothing yet; b"": the other end is gone), and the errno of what failed, or 0; EAGAIN: it waited in vain."""

# --- bind/http2.pxi: meshfast/http2.py is its public face

_H2Header = tuple[bytes, bytes] | tuple[bytes, bytes, bool]

class H2Decoder:
    """Header blocks, HPACK: see ``http2.HeaderDecoder``."""

    max_table_size: int
    def __init__(self, max_table_size: int = 4096, max_header_list_size: int = 65536) -> None: ...
    def decode(self, block: _Bytes) -> list[tuple[bytes, bytes]]: ...
    def decode_fields(self, block: _Bytes) -> list[Any]: ...

class H2Encoder:
    """Header blocks, HPACK: see ``http2.HeaderEncoder``."""

    max_table_size: int
    def __init__(self, max_table_size: int = 4096) -> None: ...
    def encode(self, headers: Iterable[_H2Header]) -> bytes: ...

def h2_check_fields(kind: str, headers: Iterable[_H2Header]) -> None: ...
def h2_view(
    http: tuple[str | None, str | None, str | None, str | None], headers: list[tuple[str, str]]
) -> tuple[int, str, str, str, list[tuple[str, str]], list[tuple[str, str]], str]: ...

# --- bind/change.pxi

def change_path(rewrite: Any, path: str) -> str | None: ...
def change_location(redirect: Any, scheme: str, authority: str, path: str, query: str | None) -> str: ...

# --- bind/http2.pxi

def h2_preface(data: _Bytes) -> bool: ...
def h2_error(code: int) -> tuple[int, bool]: ...
def h2_parse_frame(data: _Bytes, max_size: int = 16384) -> tuple[Any, ...] | None: ...
def h2_put_frame(type: int, flags: int, stream: int, payload: bytes, pad: int | None = None) -> bytes: ...

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

# --- bind/check.pxi

def error_text(code: int) -> str:
    """The core's own words for an error code."""

# --- bind/differ.pxi

_Object = TypeVar("_Object")

def differing(old: tuple[_Object, ...], new: tuple[_Object, ...]) -> tuple[list[_Object], list[_Object]]:
    """What ``old`` has and ``new`` has not, and the other way round, each in its order; compared by identity.

    About a nanosecond for each object that both have in the same order. One that comes more often in one of them than
    in the other may be in that one's list or in none.
    """

def listed(mapping: Mapping[Any, _Object], before: tuple[_Object, ...]) -> tuple[_Object, ...]:
    """The values of a mapping; ``before`` itself where they are the same objects in the same order."""

# --- bind/table.pxi: meshfast/routing.py is its public face

_TextPairs = Mapping[str, str] | Iterable[tuple[str, str]]
_Headers = Mapping[str, str | None] | Iterable[tuple[str, str | None]]  # None: there, and no text
_Http = tuple[str | None, str | None, str | None, str | None, str | None]  # method, scheme, authority, path, query
_Condition = tuple[int, str, int, str | bytes]
_Target = tuple["Cluster", int, str, int, int, int | None]
_Mirror = tuple[int, int, "Meter"]  # the number of the rule's target, of a million calls
_Bound = tuple[str, "Bucket", Sequence[Sequence[tuple[int, str, int, Any]]]]
_Aside = tuple[Sequence[_Mirror], Sequence[_Bound]]
_Plain = tuple[int, Sequence[Sequence[_Condition]], Sequence[_Target], Actions | None]
_Rule = _Plain | tuple[int, Sequence[Sequence[_Condition]], Sequence[_Target], Actions | None, _Aside | None]
_Source = tuple[int, str, int]
_Step = tuple[str, int, int, int, int, str]

class Bucket:
    """A rate limit that all workers share (csrc/table/bucket.h): ``requests`` in each ``unit`` ns, ``burst`` at once,
    each 1 or more, else ValueError.
    """

    def __init__(self, requests: int, unit: int, burst: int) -> None: ...
    def set(self, requests: int, unit: int, burst: int) -> None:
        """Allows that from here on, to every rule that has it; what is taken is taken."""

    def counts(self) -> tuple[int, int, int]:
        """How many were let go on and refused, and how many more may go on now."""

    @property
    def used(self) -> bool:
        """Whether a rule has it."""

class Meter:
    """What became of copies of calls (csrc/call/copies.h)."""

    def counts(self) -> list[int]:
        """Answered, answered with an error, failed, skipped."""

    @property
    def used(self) -> bool:
        """Whether a rule has it, or a copy that is under way."""

class Cluster:
    """The instances of one application, sealed. Made by ``Table.cluster``, for that table."""

class Prepared:
    """A service built aside, not yet seen by readers. Made by ``Table.service``; ``Table.publish`` uses it up."""

class Table:
    """The native label table (csrc/table/table.h). One thread uses it: the one that writes; workers only read.

    What cannot be built raises LimitError, StateError or ProtocolError, and OSError (ENOMEM) without memory; readers
    see no change then.
    """

    def __init__(self) -> None: ...
    def __len__(self) -> int:
        """How many services readers see."""

    def cluster(
        self,
        host: str,
        endpoints: Sequence[tuple[str | tuple[str, str], _TextPairs, int, str]],
        subsets: Iterable[tuple[str, _TextPairs, Policy | None, Sequence[int] | None]] = (),
        policy: Policy | None = None,
    ) -> Cluster:
        """A sealed cluster. ``endpoints``: (address, labels, weight, locality), ``subsets``: (name, labels, policy,
        members).

        An address may be a pair, for Dubbo and for HTTP, of which one may be empty. Members are ascending numbers of
        endpoints; None: those with the labels.
        """

    def levels(
        self, cluster: Cluster, subset: str = "", family: int = 0
    ) -> list[tuple[int, int, int, int, int, int, bool, float]]:
        """What is so of each locality of a cluster's instances, or of a declared subset's, now: view, level, number,
        members, how many of them are well, percent of calls for the level, panic, percent of all calls.
        """

    def service(self, name: str, pattern: int, rules: Iterable[_Rule]) -> Prepared:
        """A service, built aside. ``pattern``, ``field``, ``op``, ``kind``, ``on``: the numbers of meshfast.model.

        ``rules``: (timeout in ms, matches, targets, actions) each, and what meshfast.shared has of it; a match is
        (field, key, op, value) each, a target (cluster, kind, text, weight, on, index of its fallback or None). A
        regular expression's value is its automaton.
        """

    def publish(self, service: Prepared) -> None:
        """Makes a service visible to readers, in place of the one of the same name and pattern.

        Raises ValueError when it was published already.
        """

    def remove(self, name: str, pattern: int) -> None:
        """Takes a service away. Raises StateError when there is none."""

    def publish_labels(
        self, labels: Sequence[tuple[str, int, Sequence[_Source], bytes]], traces: Sequence[_Source]
    ) -> None:
        """The label plan: (name, protocols that do not carry it, sources, hosts) each, a source and each of ``traces``
        (kind, text, format); hosts a compiled expression, b"" for all.

        Raises ValueError for more than 16 labels, 8 sources of one, or 8 keys of trace ids.
        """

    def reclaim(self) -> int:
        """Frees what no reader can see any more; returns how much still waits."""

    def lookup(
        self, service: str, method: str, headers: _Headers, labels: Mapping[str, str] | None, random: int,
        http: _Http | None = None, arguments: Iterable[str | None] = (),
    ) -> tuple[str, int, int, int]:  # fmt: skip
        """Where a request goes: (address, index of the rule, targets passed over, timeout in ms; 0: none).

        Raises StateError with the core's ``code`` when it goes nowhere. Arguments as of ``explain``.
        """

    def counted(
        self, service: str, method: str, headers: _Headers, labels: Mapping[str, str], random: int,
        http: _Http | None = None, arguments: Iterable[str | None] = (),
    ) -> list[str]:  # fmt: skip
        """The names of the rate limits that such a request counts against."""

    def explain(
        self, service: str, method: str, headers: _Headers, labels: Mapping[str, str], random: int, branch: int = 0,
        http: _Http | None = None, arguments: Iterable[str | None] = (),
    ) -> tuple[int, str, int, int, int, list[_Step]]:  # fmt: skip
        """The decision and every step to it: (code, address, rule, timeout in ms, fallbacks, steps).

        ``code`` is 0, or the core's error, with ``address`` "" then. ``random``: 64 bits, to choose among weights and
        instances. ``branch``: the target that the weights are to pick, from 1; 0: as drawn. ``http``: of an HTTP
        request its method, scheme, authority, path and query, None where it has none. A step is (kind, rule, match,
        condition, target, text).
        """

    def stats(self, used: bool = True) -> list[dict[str, Any]]:
        """What services, applications and subsets have counted, a dict each (csrc/table/stat.h); ``used``: only those
        where anybody ever did.

        ``direction``, ``service``, ``host``, ``subset``; ``begun``, ``done``, ``fallbacks``, ``one_way`` in calls;
        ``bytes_up``, ``bytes_down``; ``status``: Dubbo's, name -> calls; ``grpc``, ``http``: the same of
        gRPC's and of classes of HTTP's, where there were any; ``latency``: (upper bound in seconds or None, calls)
        each, not summed up; ``latency_sum_ns``; ``outcomes``: how calls ended, name -> calls.
        """

    def stats_in_pieces(self, size: int = 256, used: bool = True) -> Iterator[list[dict[str, Any]]]:
        """The same in lists of about ``size``, or empty ones. Between them the table may change: what is there all
        the time is told once."""

    def guards(self) -> list[dict[str, Any]]:
        """What all workers share of each group that policy watches: ``host``, ``subset``, ``active`` calls, ``ejects``,
        ``ejections`` by reason, ``forbidden`` ones, ``limits``, each with ``most``, ``now`` and ``refused``, and
        ``instances``, each with ``address``, ``out_for`` seconds, ``ejections`` and ``in_a_row`` by reason."""

    @overload
    def peers(self, detail: Literal[False] = False) -> dict[str, bool]:
        """Every address that calls may be sent to -> whether it is available now."""

    @overload
    def peers(self, detail: Literal[True]) -> dict[str, dict[str, Any]]:
        """-> a dict each: ``available``; ``down_for``, the seconds that it still rests; ``listed``, whether any
        instance of the mesh has it: else only its last calls hold it; ``calls``, ``calls_active``, ``connections`` and
        ``failures``, as of a second ago."""

    def calls(self) -> dict[str, int]:
        """The addresses that any call was sent to -> how many, as of a second ago."""

class TraceMemory:
    """Labels by trace id, shared by all workers (csrc/table/trace.h). ``entries`` becomes a power of two."""

    def __init__(self, entries: int = 65536, ttl_ns: int = 300_000_000_000) -> None: ...
    def put(
        self, trace_id: str | bytes, label: int, value: str | bytes, caller: int = 0, replace: bool = False
    ) -> bool:
        """Remembers a value for (trace id, number of the label), brought by a caller: where room is short, whoever has
        most of it gives way. False where another value is known, which stays unless ``replace``. Raises LimitError when
        id or value is empty or longer than 64 bytes."""

    def find(self, trace_id: str | bytes, label: int) -> str | None:
        """The value; None when it is not known or too old."""

# --- bind/worker.pxi

def limits() -> dict[str, tuple[int, str, int, str]]:
    """Every limit by its name in the configuration: (default, unit, least, what it bounds). csrc/call/limits.h."""

def counters() -> dict[str, tuple[str, str]]:
    """Every counter of a worker: name -> ("counter" or "gauge", what it counts). csrc/call/counters.h."""

#: A connection on its way: the listener's name, the descriptor, whether it speaks Dubbo2 (else it has not said what),
#: bytes to come that are to be thrown away, ns for which nothing came, bytes that came and were not looked at.
_Passed = tuple[str, int, bool, int, int, bytes]

class Engine:
    """The data plane: workers and their listeners (csrc/engine/engine.h).

    1. ``Engine(table, ...)``  2. ``listen()`` for each listener  3. ``start()``  4. ``drain()``  5. ``stop()``

    ``workers`` native threads that never need the GIL; 0: it is served by the turns of ``loop``, on that thread.
    ``backend`` is "auto", "epoll" or "io_uring"; ``limits`` by their names in the configuration;
    ``access_sample`` is the share of calls that ``access_records`` tells of. Raises ValueError for
    a backend or a loop that does not fit, LimitError for a limit below its least, OSError when the loop cannot be made.

    In a process that is forked while its threads run, it is left alone: ``stop``, ``drain`` and its end do nothing.
    """

    def __init__(
        self,
        table: Table,
        *,
        trace: TraceMemory | None = None,
        workers: int = 1,
        backend: str = "auto",
        loop: Loop | None = None,
        limits: dict[str, int] | None = None,
        access_sample: float = 0.0,
    ) -> None: ...
    def listen(
        self,
        name: str,
        bind: str,
        *,
        direction: str = "outbound",
        protocol: str = "auto",
        transparent: bool = False,
        forward: str = "",
        service: str = "",
        labels: str = "keep-first",
        unknown: str = "forward",
        mode: int = 0,
        fds: Collection[int] = (),
    ) -> str:
        """Binds a listener now and returns its address as text (port 0 becomes a real one).

        ``direction`` "outbound" or "inbound", ``protocol`` "auto", "dubbo", "http2" or "tcp"; ``mode``: of a UNIX
        socket's file, 0: 0600. Raises OSError when the address is taken, ProtocolError when it is none.

        ``fds``: sockets that listen there already, all of them, which it goes on with instead of binding. They are the
        engine's from now on, whatever becomes of this, and shared until ``share`` says otherwise.
        """

    def copies(self, name: str) -> list[int]:
        """Descriptors of all sockets of a listener, for another process to go on with; the caller closes them.

        :raises OSError: it has not been started, or it ends
        :raises KeyError: there is no such listener
        """

    def share(self, name: str, shared: bool) -> None:
        """Whether others have copies of a listener's sockets and go on with them. Then it takes no connection any more
        once the engine begins to end, and leaves those that wait, and a UNIX socket's file, to them.

        :raises OSError: it ends already
        """

    def pass_on(self, names: Iterable[str]) -> None:
        """Connections of these listeners, which are shared, go to another process, as far as they may: those of Dubbo2
        once nothing of them is under way, and those that have said nothing. The listeners take no more.

        :raises OSError: it ends already, or one is not shared
        :raises KeyError: there is no such listener
        """

    @property
    def passing(self) -> bool:
        """More may leave. To be looked at before ``passed``."""

    def passed(self, most: int) -> list[_Passed]:
        """Connections that have left, the caller's now."""

    def adopt(self, name: str, fd: int, dubbo: bool, discard: int, silent: int, came: bytes) -> bool:
        """Goes on with a connection that came in at such a listener of another process, or of this one: its own from
        now on. False: not yet, ask again.

        :raises OSError: the engine ends, or the listener takes no Dubbo2
        :raises KeyError: there is no such listener
        """

    def start(self) -> None:
        """Starts the threads (or takes its place in the loop) and accepts connections."""

    @property
    def loop_name(self) -> str:
        """The loop that the workers run on: "epoll" or "io_uring"."""

    def drain(self) -> None:
        """Begins to end: who calls in is told READONLY. The rest follows as ``drained`` is looked at."""

    @property
    def forked(self) -> bool:
        """Its threads are another process's, which this one was forked from."""

    @property
    def drained(self) -> bool:
        """No call is in flight and none is expected. Once nobody calls in any more, looking closes the listeners."""

    def stop(self) -> None:
        """Answers what is in flight with an error, closes everything, ends the threads. Again is harmless.

        With 0 workers on the loop's own thread, or RuntimeError: it lives on then.
        """

    def counters(self) -> dict[str, int]:
        """The sums over all workers: name -> value. See ``counters()``."""

    def serializations(self) -> list[dict[str, Any]]:
        """What each serialization id has seen, a dict per id that was used: ``id``, ``name``, ``calls``, ``answers``,
        ``bytes_up``, ``bytes_down``, ``ok``, ``errors``, ``latency_sum_ns``."""

    def inbound_stats(self) -> list[dict[str, Any]]:
        """What the calls that came in at inbound listeners counted, by service: a dict each, as of ``Table.stats``. As
        many services as limit maxInboundServices says; those of more are ``other``."""

    def method_stats(self) -> list[dict[str, Any]]:
        """What ended calls counted by ``direction``, ``service`` and ``method``, else as of ``Table.stats``. As many as
        limits maxMethods and maxServiceMethods say; those of more are ``other``."""

    def ended_here(self) -> dict[str, int]:
        """Calls that no provider answered: outcome -> how many. csrc/call/outcome.h."""

    def access_records(self, most: int = 500) -> list[tuple[Any, ...]]:
        """Up to so many of the calls that have ended, each told once: tuples in the order of
        ``meshfast.record.Record``. Needs ``access_sample``."""

    def loop_counts(self) -> dict[str, int]:
        """What the workers' loops have done: turns, waits, syscalls, reads, writes, accepts, accept_failures,
        bytes_in, bytes_out."""

    @property
    def event_fd(self) -> int:
        """A descriptor that is readable when ``events()`` has something."""

    def events(self) -> list[tuple[str, int, int, str, str]]:
        """What the workers had to tell since the last call: (kind, worker, code, its text, peer) each.

        ``kind`` is peer_down, peer_up, peer_readonly, upstream_lost, bad_downstream or accept_failed; ``code`` is a
        negated errno or the core's error, 0 for none.
        """
