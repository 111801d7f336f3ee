"""The limits of ``csrc/call/limits.h`` under their names in the configuration. A test keeps the two equal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from yaml.nodes import Node, ScalarNode

from meshfast.config import compose, value
from meshfast.config.document import Key, Place, Refused, Report
from meshfast.config.field import Type, not_a


@dataclass(frozen=True, slots=True)
class Limit:
    """One limit. ``name`` is what it is called in the configuration and in ``model.Sidecar.limits``, ``field`` in C."""

    field: str
    name: str
    unit: str  # "bytes", "count" or "ms"
    default: int
    least: int
    doc: str
    most: int = 0  # 0: that of its unit


MAX_LENGTH = 0x7FFF_FFFF  # of a frame, as Dubbo2 writes it
# What HTTP/2 has no larger numbers for: a window, a frame, a setting (RFC 9113 6.9.1, 4.2, 6.5.1).
MAX_H2_WINDOW, MAX_H2_FRAME, MAX_H2_SETTING = 0x7FFF_FFFF, 0xFF_FFFF, 0xFFFF_FFFF

LIMITS: tuple[Limit, ...] = (
    Limit("max_body", "maxBody", "bytes", 8388608, 16, "body of one frame", MAX_LENGTH),
    Limit("max_depth", "maxDepth", "count", 1024, 1, "nested Hessian2 values"),
    Limit("max_classes", "maxClasses", "count", 1024, 1, "Hessian2 class definitions in one body"),
    Limit("max_attachments", "maxAttachments", "count", 128, 1, "attachments of one request"),
    Limit(
        "max_text", "maxText", "bytes", 65536, 1024, "texts of one request that are not UTF-8 as they lie there",
        MAX_LENGTH,
    ),  # fmt: skip
    Limit("max_connections", "maxConnections", "count", 20000, 1, "downstream connections of one worker"),
    Limit("max_calls", "maxCalls", "count", 65536, 1, "calls in flight of one worker"),
    Limit(
        "max_calls_per_connection", "maxCallsPerConnection", "count", 4096, 1,
        "calls in flight of one downstream connection",
    ),
    Limit(
        "max_pending", "maxPending", "count", 1024, 1,
        "calls of one worker that wait until a peer takes more calls at once",
    ),  # fmt: skip
    Limit(
        "max_delayed", "maxDelayed", "count", 1024, 0,
        "calls of one worker that wait as a rule has it (fault.delay): more go on at once",
    ),  # fmt: skip
    Limit(
        "call_share", "callShare", "count", 4, 1,
        "times what is left of maxCalls or maxCallsPerConnection that one caller or peer may have, from half of those "
        "on",
    ),  # fmt: skip
    Limit("max_tries", "maxTries", "count", 4, 1, "peers tried for one call when connecting fails"),
    Limit("upstream_connections", "upstreamConnections", "count", 1, 1, "connections of one worker to one peer"),
    Limit(
        "busy_connections", "busyConnections", "count", 8, 1,
        "connections of one worker to one peer, where each of them has as many calls as it takes",
    ),  # fmt: skip
    Limit(
        "spent_connections", "spentConnections", "count", 32, 1,
        "connections of one worker to one peer, where each of them has no window left, or h2Cuts",
    ),  # fmt: skip
    Limit(
        "upstream_trials", "upstreamTrials", "count", 4, 0,
        "connections beside those of one worker to one peer, for requests that it has not shown to take; 0: none, they "
        "share",
    ),  # fmt: skip
    Limit(
        "trial_request", "trialRequest", "bytes", 65536, 0,
        "a request that every peer is taken to accept: a longer one goes on a connection of its own until one as long "
        "was answered",
    ),  # fmt: skip
    Limit(
        "output_high", "outputHigh", "bytes", 262144, 4096, "answers queued for one caller above which it is not read"
    ),
    Limit(
        "upstream_output_high", "upstreamOutputHigh", "bytes", 2097152, 4096,
        "requests queued for the address that a listener forwards to above which its callers are not read",
    ),  # fmt: skip
    Limit(
        "upstream_output_max", "upstreamOutputMax", "bytes", 67108864, 65536,
        "requests queued for one connection to a peer above which it gets no more",
    ),  # fmt: skip
    Limit(
        "output_max", "outputMax", "bytes", 67108864, 65536,
        "answers queued for one caller above which a further one is replaced by status 100, unless it is the only one",
    ),  # fmt: skip
    Limit(
        "spare_blocks", "spareBlocks", "bytes", 33554432, 0,
        "memory of one worker kept for long frames to come, or lent to those whose length is announced",
    ),  # fmt: skip
    Limit(
        "max_memory", "maxMemory", "bytes", 268435456, 16777216,
        "memory that input and output of one worker's connections take; half of it is for what waits for peers",
    ),  # fmt: skip
    Limit(
        "max_inbound_services", "maxInboundServices", "count", 256, 0,
        "services whose inbound calls one worker counts apart, before the rest are `other`",
    ),  # fmt: skip
    Limit(
        "max_methods", "maxMethods", "count", 0, 0,
        "methods whose calls one worker counts apart, before the rest are `other`; 0: none is counted",
    ),  # fmt: skip
    Limit(
        "max_service_methods", "maxServiceMethods", "count", 64, 1,
        "of those, methods of one service, before the rest are `other` of it",
    ),  # fmt: skip
    Limit(
        "access_records", "accessRecords", "count", 8192, 1, "records of one worker that wait for the access log"
    ),
    Limit("http_head", "httpHead", "bytes", 16384, 256, "line and fields of the first request of an HTTP/1 connection"),
    Limit("h2_streams", "h2Streams", "count", 100, 1, "HTTP/2 streams that one caller may have open at once"),
    Limit(
        "h2_first_window", "h2FirstWindow", "bytes", 8192, 1024,
        "bytes of one HTTP/2 stream that may arrive before any of them is passed on", MAX_H2_WINDOW,
    ),  # fmt: skip
    Limit(
        "h2_stream_window", "h2StreamWindow", "bytes", 524288, 4096,
        "bytes of one HTTP/2 stream that may arrive before they are passed on, where there is room", MAX_H2_WINDOW,
    ),  # fmt: skip
    Limit(
        "h2_connection_window", "h2ConnectionWindow", "bytes", 1048576, 65535,
        "bytes that may be on their way on one HTTP/2 connection, and of all its caller's requests that are not "
        "passed on yet", MAX_H2_WINDOW,
    ),  # fmt: skip
    Limit("h2_frame", "h2Frame", "bytes", 16384, 16384, "one HTTP/2 frame", MAX_H2_FRAME),
    Limit(
        "h2_header_list", "h2HeaderList", "bytes", 65536, 256,
        "fields of one HTTP/2 message, decoded, and 32 for each", MAX_H2_SETTING,
    ),  # fmt: skip
    Limit("h2_fields", "h2Fields", "count", 100, 8, "fields of one HTTP/2 message, pieces of cookies counted each"),
    Limit("h2_block", "h2Block", "bytes", 65536, 1024, "fields of one HTTP/2 message as they are sent"),
    Limit(
        "h2_growth", "h2Growth", "count", 10, 1,
        "times the length of its block that the fields of one HTTP/2 message may have, and 4096 bytes more, which is "
        "what a table of fields holds",
    ),  # fmt: skip
    Limit(
        "h2_kept", "h2Kept", "bytes", 65536, 0,
        "content of one HTTP/2 request kept to be sent elsewhere, should its peer not have looked at it",
    ),  # fmt: skip
    Limit("h2_interims", "h2Interims", "count", 32, 1, "interim answers to one HTTP/2 request"),
    Limit("h2_continuations", "h2Continuations", "count", 8, 0, "CONTINUATION frames of one HTTP/2 message"),
    Limit(
        "h2_resets", "h2Resets", "count", 1000, 1,
        "HTTP/2 streams that one connection may have reset, by its caller or for its errors, and not have made up for",
    ),  # fmt: skip
    Limit(
        "h2_reset_rate", "h2ResetRate", "count", 33, 1,
        "resets a second that are made up for; a call that a provider answers makes up for one, too",
    ),  # fmt: skip
    Limit(
        "h2_cancels", "h2Cancels", "count", 8, 0,
        "calls of one HTTP/2 caller taken back or broken, and not made up for, from which on its calls go apart and "
        "wait h2CancelWait before they are sent",
    ),  # fmt: skip
    Limit(
        "h2_cancel_share", "h2CancelShare", "count", 4, 1,
        "calls of one HTTP/2 caller, answered lately, that allow for one more to be taken back at once, up to "
        "h2Streams of them",
    ),  # fmt: skip
    Limit(
        "h2_cancel_wait", "h2CancelWait", "ms", 10, 0,
        "a call of an HTTP/2 caller that has taken back more than h2Cancels",
    ),  # fmt: skip
    Limit(
        "h2_cuts", "h2Cuts", "count", 100, 1,
        "HTTP/2 calls cut short in 30 s on one connection to a peer, above which new calls go on another, or of one "
        "caller, above which its calls go apart",
    ),  # fmt: skip
    Limit(
        "h2_window_share", "h2WindowShare", "count", 4, 1,
        "where content that a provider has not taken has used up the window of a connection to it: a caller who holds "
        "more of that than one part of so many goes apart, and so do calls for a path for which as much is held",
    ),  # fmt: skip
    Limit(
        "h2_window_wait", "h2WindowWait", "ms", 20, 1,
        "a provider whose connection has little window left and gives less than 8 KiB back, before it is used up; "
        "calls with content wait so long",
    ),  # fmt: skip
    Limit("h2_controls", "h2Controls", "count", 1000, 16, "HTTP/2 control frames that wait to be read by one peer"),
    Limit(
        "h2_empty_frames", "h2EmptyFrames", "count", 1, 1,
        "HTTP/2 DATA frames of one stream in a row without content or end", 0xFFFF,
    ),  # fmt: skip
    Limit("h2_settings", "h2Settings", "count", 32, 6, "entries of one HTTP/2 SETTINGS frame"),
    Limit(
        "stall_timeout", "stallTimeout", "ms", 300000, 1, "HTTP/2 content that waits for its reader to take some of it"
    ),
    Limit(
        "ping_timeout", "pingTimeout", "ms", 20000, 1,
        "an HTTP/2 PING of ours that is not answered, before its connection is given up; no new calls go there after a"
        " second",
    ),  # fmt: skip
    Limit("settings_timeout", "settingsTimeout", "ms", 10000, 1, "HTTP/2 settings of ours that are not acknowledged"),
    Limit(
        "judged_timeout", "judgedTimeout", "ms", 100, 0,
        "a call whose caller allows it less says nothing of its instance when that runs out (outlierDetection)",
    ),  # fmt: skip
    Limit("call_timeout", "callTimeout", "ms", 60000, 1, "a call whose caller and policy name no timeout"),
    Limit(
        "max_call_timeout", "maxCallTimeout", "ms", 3600000, 1, "what a caller may ask for as its call's timeout"
    ),
    Limit(
        "memory_timeout", "memoryTimeout", "ms", 1000, 1,
        "a worker near maxMemory before connections are closed whose peers take nothing, or little",
    ),  # fmt: skip
    Limit("connect_timeout", "connectTimeout", "ms", 3000, 1, "a connection to a peer being made"),
    Limit("frame_timeout", "frameTimeout", "ms", 10000, 1, "a frame or a protocol that has begun to arrive"),
    Limit(
        "detect_timeout", "detectTimeout", "ms", 300, 0,
        "a caller that says nothing, on a listener that detects, before its provider is dialled to hear whether that "
        "speaks first; 0: never",
    ),  # fmt: skip
    Limit(
        "greet_timeout", "greetTimeout", "ms", 10000, 1,
        "a provider that was dialled for such a caller, and says nothing",
    ),  # fmt: skip
    Limit(
        "max_silent", "maxSilent", "count", 100, 1, "such connections of one listener of one worker at once"
    ),  # fmt: skip
    Limit("idle_timeout", "idleTimeout", "ms", 300000, 1, "a downstream connection without a byte or a call"),
    Limit(
        "relay_idle_timeout", "relayIdleTimeout", "ms", 3600000, 0,
        "a connection relayed as plain TCP without a byte either way; 0: no end",
    ),  # fmt: skip
    Limit(
        "tcp_keepalive", "tcpKeepalive", "ms", 60000, 0,
        "a relayed or HTTP/2 connection without a byte before TCP asks whether its peer is there; 0: never",
    ),  # fmt: skip
    Limit(
        "heartbeat", "heartbeat", "ms", 60000, 1, "an upstream connection without a byte before we send a heartbeat"
    ),
    Limit(
        "heartbeat_timeout", "heartbeatTimeout", "ms", 180000, 1, "an upstream connection that answers no heartbeat"
    ),
    Limit(
        "hedge_connect", "hedgeConnect", "ms", 250, 1,
        "calls that wait for a connection being made, before another peer is tried",
    ),
    Limit(
        "peer_backoff", "peerBackoff", "ms", 250, 1, "first rest of a peer that failed; doubles up to peerBackoffMax"
    ),
    Limit(
        "peer_backoff_max", "peerBackoffMax", "ms", 1000, 1,
        "longest rest of a peer that failed, and how often it is probed",
    ),
    Limit(
        "max_probes", "maxProbes", "count", 1000, 1,
        "connections and heartbeats of one worker a second to find out whether peers are back",
    ),  # fmt: skip
    Limit(
        "max_kept", "maxKept", "bytes", 4194304, 0,
        "requests of one worker kept to be sent elsewhere, should nobody be there",
    ),
    Limit(
        "max_mirrored", "maxMirrored", "count", 1024, 0,
        "copies of calls of one worker that are on their way to mirrors; 0: nothing is mirrored",
    ),  # fmt: skip
    Limit(
        "mirror_body", "mirrorBody", "bytes", 1048576, 0,
        "content of a call that is mirrored, and of an answer to its copy", MAX_LENGTH,
    ),  # fmt: skip
    Limit("mirror_memory", "mirrorMemory", "bytes", 16777216, 0, "copies of one worker that wait for mirrors"),
    Limit(
        "retry_percent", "retryPercent", "count", 20, 0,
        "calls that may be tried again by policy, in percent of those of their service and subset on one worker",
    ),  # fmt: skip
    Limit(
        "retry_rate", "retryRate", "count", 10, 0,
        "the same a second, over all workers, whatever retryPercent comes to",
    ),  # fmt: skip
    Limit("retry_body", "retryBody", "bytes", 1048576, 0, "a request that is kept to be tried again by policy"),
    Limit(
        "pass_timeout", "passTimeout", "ms", 500, 0,
        "a Dubbo connection that is not read, so that its calls end and it goes on in the sidecar that takes over; 0: "
        "none does",
    ),  # fmt: skip
    Limit("drain_timeout", "drainTimeout", "ms", 30000, 0, "calls in flight when the sidecar stops"),
)

MOST = {"bytes": 0x7FFF_FFFF_FFFF_FFFF, "count": 0x7FFF_FFFF, "ms": value.MAX_MS}
_WORDS = {
    "bytes": "a size (65536, 64KiB, 8MiB)",
    "count": "a whole number",
    "ms": "a duration (500ms, 1.5s) or whole milliseconds",
}


class LimitValue(Type):
    """One limit's value: a whole number in its unit, or a size or duration with its own."""

    def __init__(self, limit: Limit) -> None:
        self.limit = limit
        self.words = _WORDS[limit.unit]

    def read(self, node: Node, place: Place, key: Key, report: Report) -> int:
        if not isinstance(node, ScalarNode) or node.tag not in (compose.PLAIN, compose.QUOTED) or not node.value:
            raise not_a(self.words, node)
        text: str = node.value
        if text.isascii() and text.isdigit() and len(text) < 20:
            number = int(text)
        elif self.limit.unit == "ms":
            number = value.duration(text)
        elif self.limit.unit == "bytes":
            number = value.size(text)
        else:
            raise not_a(self.words, node)
        if number < self.limit.least:
            raise Refused(f"{self.limit.name} is at least {self.limit.least} {self.limit.unit}")
        most = self.limit.most or MOST[self.limit.unit]
        if number > most:
            raise Refused(f"{self.limit.name} is at most {most} {self.limit.unit}")
        return number

    def empty(self) -> int:
        return self.limit.default


@dataclass(frozen=True, slots=True)
class Pair:
    """Two limits that contradict each other where the first is above the second, or as great where ``below``."""

    low: str
    high: str
    why: str
    below: bool = False

    def broken(self, limits: Mapping[str, int]) -> bool:
        low, high = (limits.get(name, _DEFAULTS[name]) for name in (self.low, self.high))
        return low > high or (self.below and low == high)


_DEFAULTS = {limit.name: limit.default for limit in LIMITS}

#: Refused, as one of the two could never do what it says.
REFUSED = (
    Pair("outputHigh", "outputMax", "a caller would be closed before it is paused"),
    Pair("upstreamOutputHigh", "upstreamOutputMax", "callers would be refused before they are paused"),
    Pair("heartbeat", "heartbeatTimeout", "no answer could come in time", below=True),
    Pair("peerBackoff", "peerBackoffMax", "the first rest would be the longest"),
    Pair("maxBody", "maxMemory", "the longest body could never be taken in"),
)

#: Warned of, as something sensible comes of it.
WARNED = (
    Pair("callTimeout", "maxCallTimeout", "who asks for no timeout waits longer than any may ask"),
    Pair("maxBody", "outputMax", "one answer alone may pass it"),
)


def check_pairs(limits: Mapping[str, int], place: Place, report: Report) -> None:
    """``place``: that of the mapping of limits."""
    for pairs, tell in ((REFUSED, report.add), (WARNED, report.warn)):
        for pair in pairs:
            if not pair.broken(limits):
                continue
            low, high = (limits.get(name, _DEFAULTS[name]) for name in (pair.low, pair.high))
            default = {name: "" if name in limits else ", by default" for name in (pair.low, pair.high)}
            tell(
                place.at(pair.low if pair.low in limits else pair.high),
                f"{pair.low} ({low}{default[pair.low]}) is {'not below' if pair.below else 'above'} "
                f"{pair.high} ({high}{default[pair.high]}): {pair.why}",
                f"lower {pair.low} or raise {pair.high}",
            )
