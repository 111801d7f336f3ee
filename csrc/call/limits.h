#pragma once
/* limits: every bound that bytes from outside can reach: its name in the configuration, unit, default and least value.
 *
 * Sizes in bytes, waits in milliseconds. Each has a counter of the same name for when it bites (counters.h). */
#include <stdint.h>

#define MF_LIMITS(X)                                                                                                   \
    X(max_body, maxBody, bytes, 8388608, 16, "body of one frame")                                                      \
    X(max_depth, maxDepth, count, 1024, 1, "nested Hessian2 values")                                                   \
    X(max_classes, maxClasses, count, 1024, 1, "Hessian2 class definitions in one body")                               \
    X(max_attachments, maxAttachments, count, 128, 1, "attachments of one request")                                    \
    X(max_text, maxText, bytes, 65536, 1024, "texts of one request that are not UTF-8 as they lie there")              \
    X(max_connections, maxConnections, count, 20000, 1, "downstream connections of one worker")                        \
    X(max_calls, maxCalls, count, 65536, 1, "calls in flight of one worker")                                           \
    X(max_calls_per_connection, maxCallsPerConnection, count, 4096, 1, "calls in flight of one downstream connection") \
    X(max_pending, maxPending, count, 1024, 1, "calls of one worker that wait until a peer takes more calls at once")  \
    X(max_delayed, maxDelayed, count, 1024, 0, "calls of one worker that wait as a rule has it (fault.delay): more go on at once") \
    X(call_share, callShare, count, 4, 1, "times what is left of maxCalls or maxCallsPerConnection that one caller or peer may have, from half of those on") \
    X(max_tries, maxTries, count, 4, 1, "peers tried for one call when connecting fails")                              \
    X(upstream_connections, upstreamConnections, count, 1, 1, "connections of one worker to one peer")                 \
    X(busy_connections, busyConnections, count, 8, 1, "connections of one worker to one peer, where each of them has as many calls as it takes") \
    X(spent_connections, spentConnections, count, 32, 1, "connections of one worker to one peer, where each of them has no window left, or h2Cuts") \
    X(upstream_trials, upstreamTrials, count, 4, 0, "connections beside those of one worker to one peer, for requests that it has not shown to take; 0: none, they share") \
    X(trial_request, trialRequest, bytes, 65536, 0, "a request that every peer is taken to accept: a longer one goes on a connection of its own until one as long was answered") \
    X(output_high, outputHigh, bytes, 262144, 4096, "answers queued for one caller above which it is not read")        \
    X(upstream_output_high, upstreamOutputHigh, bytes, 2097152, 4096, "requests queued for the address that a listener forwards to above which its callers are not read") \
    X(upstream_output_max, upstreamOutputMax, bytes, 67108864, 65536, "requests queued for one connection to a peer above which it gets no more") \
    X(output_max, outputMax, bytes, 67108864, 65536, "answers queued for one caller above which a further one is replaced by status 100, unless it is the only one") \
    X(spare_blocks, spareBlocks, bytes, 33554432, 0, "memory of one worker kept for long frames to come, or lent to those whose length is announced") \
    X(max_memory, maxMemory, bytes, 268435456, 16777216, "memory that input and output of one worker's connections take; half of it is for what waits for peers") \
    X(max_inbound_services, maxInboundServices, count, 256, 0, "services whose inbound calls one worker counts apart, before the rest are `other`") \
    X(max_methods, maxMethods, count, 0, 0, "methods whose calls one worker counts apart, before the rest are `other`; 0: none is counted") \
    X(max_service_methods, maxServiceMethods, count, 64, 1, "of those, methods of one service, before the rest are `other` of it") \
    X(access_records, accessRecords, count, 8192, 1, "records of one worker that wait for the access log")                \
    X(http_head, httpHead, bytes, 16384, 256, "line and fields of the first request of an HTTP/1 connection")          \
    X(h2_streams, h2Streams, count, 100, 1, "HTTP/2 streams that one caller may have open at once")                    \
    X(h2_first_window, h2FirstWindow, bytes, 8192, 1024, "bytes of one HTTP/2 stream that may arrive before any of them is passed on") \
    X(h2_stream_window, h2StreamWindow, bytes, 524288, 4096, "bytes of one HTTP/2 stream that may arrive before they are passed on, where there is room") \
    X(h2_connection_window, h2ConnectionWindow, bytes, 1048576, 65535, "bytes that may be on their way on one HTTP/2 connection, and of all its caller's requests that are not passed on yet")\
    X(h2_frame, h2Frame, bytes, 16384, 16384, "one HTTP/2 frame")                                                      \
    X(h2_header_list, h2HeaderList, bytes, 65536, 256, "fields of one HTTP/2 message, decoded, and 32 for each")       \
    X(h2_fields, h2Fields, count, 100, 8, "fields of one HTTP/2 message, pieces of cookies counted each")              \
    X(h2_block, h2Block, bytes, 65536, 1024, "fields of one HTTP/2 message as they are sent")                          \
    X(h2_growth, h2Growth, count, 10, 1, "times the length of its block that the fields of one HTTP/2 message may have, and 4096 bytes more, which is what a table of fields holds") \
    X(h2_kept, h2Kept, bytes, 65536, 0, "content of one HTTP/2 request kept to be sent elsewhere, should its peer not have looked at it") \
    X(h2_interims, h2Interims, count, 32, 1, "interim answers to one HTTP/2 request")                                  \
    X(h2_continuations, h2Continuations, count, 8, 0, "CONTINUATION frames of one HTTP/2 message")                     \
    X(h2_resets, h2Resets, count, 1000, 1, "HTTP/2 streams that one connection may have reset, by its caller or for its errors, and not have made up for")\
    X(h2_reset_rate, h2ResetRate, count, 33, 1, "resets a second that are made up for; a call that a provider answers makes up for one, too")\
    X(h2_cancels, h2Cancels, count, 8, 0, "calls of one HTTP/2 caller taken back or broken, and not made up for, from which on its calls go apart and wait h2CancelWait before they are sent") \
    X(h2_cancel_share, h2CancelShare, count, 4, 1, "calls of one HTTP/2 caller, answered lately, that allow for one more to be taken back at once, up to h2Streams of them") \
    X(h2_cancel_wait, h2CancelWait, ms, 10, 0, "a call of an HTTP/2 caller that has taken back more than h2Cancels")   \
    X(h2_cuts, h2Cuts, count, 100, 1, "HTTP/2 calls cut short in 30 s on one connection to a peer, above which new calls go on another, or of one caller, above which its calls go apart") \
    X(h2_window_share, h2WindowShare, count, 4, 1, "where content that a provider has not taken has used up the window of a connection to it: a caller who holds more of that than one part of so many goes apart, and so do calls for a path for which as much is held") \
    X(h2_window_wait, h2WindowWait, ms, 20, 1, "a provider whose connection has little window left and gives less than 8 KiB back, before it is used up; calls with content wait so long") \
    X(h2_controls, h2Controls, count, 1000, 16, "HTTP/2 control frames that wait to be read by one peer")              \
    X(h2_empty_frames, h2EmptyFrames, count, 1, 1, "HTTP/2 DATA frames of one stream in a row without content or end") \
    X(h2_settings, h2Settings, count, 32, 6, "entries of one HTTP/2 SETTINGS frame")                                   \
    X(stall_timeout, stallTimeout, ms, 300000, 1, "HTTP/2 content that waits for its reader to take some of it")        \
    X(ping_timeout, pingTimeout, ms, 20000, 1, "an HTTP/2 PING of ours that is not answered, before its connection is given up; no new calls go there after a second") \
    X(settings_timeout, settingsTimeout, ms, 10000, 1, "HTTP/2 settings of ours that are not acknowledged")            \
    X(judged_timeout, judgedTimeout, ms, 100, 0, "a call whose caller allows it less says nothing of its instance when that runs out (outlierDetection)") \
    X(call_timeout, callTimeout, ms, 60000, 1, "a call whose caller and policy name no timeout")                       \
    X(max_call_timeout, maxCallTimeout, ms, 3600000, 1, "what a caller may ask for as its call's timeout")             \
    X(memory_timeout, memoryTimeout, ms, 1000, 1, "a worker near maxMemory before connections are closed whose peers take nothing, or little") \
    X(connect_timeout, connectTimeout, ms, 3000, 1, "a connection to a peer being made")                               \
    X(frame_timeout, frameTimeout, ms, 10000, 1, "a frame or a protocol that has begun to arrive")                     \
    X(detect_timeout, detectTimeout, ms, 300, 0, "a caller that says nothing, on a listener that detects, before its provider is dialled to hear whether that speaks first; 0: never") \
    X(greet_timeout, greetTimeout, ms, 10000, 1, "a provider that was dialled for such a caller, and says nothing") \
    X(max_silent, maxSilent, count, 100, 1, "such connections of one listener of one worker at once") \
    X(idle_timeout, idleTimeout, ms, 300000, 1, "a downstream connection without a byte or a call")                    \
    X(relay_idle_timeout, relayIdleTimeout, ms, 3600000, 0, "a connection relayed as plain TCP without a byte either way; 0: no end") \
    X(tcp_keepalive, tcpKeepalive, ms, 60000, 0, "a relayed or HTTP/2 connection without a byte before TCP asks whether its peer is there; 0: never") \
    X(heartbeat, heartbeat, ms, 60000, 1, "an upstream connection without a byte before we send a heartbeat")          \
    X(heartbeat_timeout, heartbeatTimeout, ms, 180000, 1, "an upstream connection that answers no heartbeat")          \
    X(hedge_connect, hedgeConnect, ms, 250, 1, "calls that wait for a connection being made, before another peer is tried") \
    X(peer_backoff, peerBackoff, ms, 250, 1, "first rest of a peer that failed; doubles up to peerBackoffMax")         \
    X(peer_backoff_max, peerBackoffMax, ms, 1000, 1, "longest rest of a peer that failed, and how often it is probed") \
    X(max_probes, maxProbes, count, 1000, 1, "connections and heartbeats of one worker a second to find out whether peers are back") \
    X(max_kept, maxKept, bytes, 4194304, 0, "requests of one worker kept to be sent elsewhere, should nobody be there")  \
    X(max_mirrored, maxMirrored, count, 1024, 0, "copies of calls of one worker that are on their way to mirrors; 0: nothing is mirrored")    \
    X(mirror_body, mirrorBody, bytes, 1048576, 0, "content of a call that is mirrored, and of an answer to its copy")    \
    X(mirror_memory, mirrorMemory, bytes, 16777216, 0, "copies of one worker that wait for mirrors")                   \
    X(retry_percent, retryPercent, count, 20, 0, "calls that may be tried again by policy, in percent of those of their service and subset on one worker") \
    X(retry_rate, retryRate, count, 10, 0, "the same a second, over all workers, whatever retryPercent comes to")      \
    X(retry_body, retryBody, bytes, 1048576, 0, "a request that is kept to be tried again by policy")                  \
    X(pass_timeout, passTimeout, ms, 500, 0, "a Dubbo connection that is not read, so that its calls end and it goes on in the sidecar that takes over; 0: none does") \
    X(drain_timeout, drainTimeout, ms, 30000, 0, "calls in flight when the sidecar stops")

struct mf_limits {
#define X(field, name, unit, value, least, text) uint64_t field;
    MF_LIMITS(X)
#undef X
};

void mf_limits_default(struct mf_limits *limits);
/* Sets the limit of that name: 0; MF_ELIMIT when `value` is below its least; -ENOENT when there is no such limit. */
int mf_limits_set(struct mf_limits *limits, const char *name, uint64_t value);
/* No limit below its least, and none above what HTTP/2 has numbers for. */
void mf_limits_raise(struct mf_limits *limits);

/* The list above, ended by a NULL name. */
struct mf_limit_info {
    const char *name, *unit, *text;
    uint64_t value, least;
};
const struct mf_limit_info *mf_limits_table(void);
