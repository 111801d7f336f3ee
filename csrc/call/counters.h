#pragma once
/* counters: what one worker counts; one writer each, so counting is two plain moves. Gauges go up and down. */
#include "base/atom.h"

#define MF_COUNTERS(X)                                                                                                 \
    X(downstream_connections, counter, "downstream connections accepted")                                              \
    X(downstream_active, gauge, "downstream connections open")                                                         \
    X(connections_passed, counter, "downstream connections that another process was to go on with (a takeover)")       \
    X(connections_adopted, counter, "downstream connections gone on with that another process passed, or did not take") \
    X(upstream_connections, counter, "upstream connections made")                                                      \
    X(upstream_active, gauge, "upstream connections open")                                                             \
    X(upstream_spent, counter, "upstream connections made beside others whose window was used up, or that had many calls cut short") \
    X(upstream_connect_failed, counter, "upstream connections that could not be made")                                 \
    X(upstream_reset, counter, "upstream connections that ended with calls in flight")                                 \
    X(calls, counter, "calls begun")                                                                                   \
    X(calls_active, gauge, "calls in flight") /* the engine adds them up: local.h's traffic */                         \
    X(calls_one_way, counter, "one-way calls forwarded")                                                               \
    X(calls_one_way_dropped, counter, "one-way calls that went nowhere, for whatever reason: their callers cannot be told")  \
    X(requests_recalled, counter, "requests that said the same as one before: only their arguments were read")            \
    X(calls_opaque, counter, "calls forwarded unread")                                                                 \
    X(calls_unlisted, counter, "calls to services that are not listed, sent to where their listener forwards or they were dialled") \
    X(calls_last_resort, counter, "calls sent to a provider that asked for none, as there was no other")               \
    X(calls_callback, counter, "calls refused as their arguments are to be called back")                               \
    X(calls_trial, counter, "calls sent apart from others, as their provider had yet to show that it takes such") \
    X(calls_retried, counter, "calls moved to another peer before a byte was sent")                                    \
    X(retries, counter, "calls tried again by policy, each time counted")                                              \
    X(retries_answer, counter, "of those, after an answer that is a reason to")                                        \
    X(retries_reset, counter, "of those, after a reset or a lost connection")                                          \
    X(retries_timeout, counter, "of those, as a try took too long")                                                    \
    X(retries_succeeded, counter, "calls that ended well after a retry")                                               \
    X(retries_used_up, counter, "calls whose last try, too, was a reason to try again")                                \
    X(retries_not_kept, counter, "calls not tried again, as they were too long to be kept")                            \
    X(retries_over_budget, counter, "calls not tried again, as a policy's retryBudget or maxRetries was used up")      \
    X(calls_abandoned, counter, "calls whose caller went away first")                                                  \
    X(calls_delayed, counter, "calls that a rule let wait first (fault.delay)")                                        \
    X(calls_aborted, counter, "calls that a rule let fail (fault.abort)")                                              \
    X(calls_redirected, counter, "calls that a rule answered with a redirect")                                         \
    X(calls_direct, counter, "calls that a rule answered itself (directResponse)")                                     \
    X(calls_changed, counter, "calls sent on with other fields, attachments, path or authority than they came with")   \
    X(cookies_made, counter, "calls without a cookie that they are hashed by, whose callers were given one")             \
    X(changes_lost, counter, "calls that went on as they came, as what a rule changes could not be written: serializations that are not read, answers and upgrades of HTTP/1") \
    X(changes_refused, counter, "calls refused, as their path as a rule rewrites it is too long, or could be read in two ways") \
    X(answers, counter, "answers delivered")                                                                           \
    X(answers_local, counter, "answers made here: no route, no peer, timeout, overload, bad request")                  \
    X(answers_late, counter, "answers to calls that had ended, or to none: dropped")                                   \
    X(heartbeats_in, counter, "heartbeats answered")                                                                   \
    X(heartbeats_skipped, counter, "heartbeats of upstreams not answered, as they do not read")                        \
    X(heartbeats_out, counter, "heartbeats sent to idle upstreams")                                                    \
    X(probes, counter, "connections and heartbeats to find out whether a peer that failed is back")                    \
    X(calls_nobody, counter, "answers that said that nobody is there: the call went on where its request was kept")   \
    X(answers_closing, counter, "answers of providers that are stopping: read as READONLY, the mark taken out")       \
    X(readonly_in, counter, "READONLY events from upstreams")                                                          \
    X(readonly_out, counter, "READONLY events sent while draining")                                                    \
    X(bad_frames, counter, "frames refused as malformed")                                                              \
    X(bad_connections, counter, "connections closed for bytes that are not their protocol")                            \
    X(opaque_connections, counter, "connections relayed as plain TCP")                                                 \
    X(opaque_silent, counter, "of those, as their callers said nothing and their providers spoke first") \
    X(opaque_bytes, counter, "bytes relayed as plain TCP")                                                             \
    X(labels_stamped, counter, "requests a label was added to")                                                        \
    X(labels_header, counter, "labels found in the request")                                                           \
    X(labels_context, counter, "labels found by trace id")                                                             \
    X(labels_local, counter, "labels taken from this workload")                                                        \
    X(labels_none, counter, "requests without a label")                                                                \
    X(labels_lost, counter, "requests with a trace id but no label known for it")                                      \
    X(labels_conflict, counter, "labels that differ from the one remembered for their trace id, and are not taken unless labels are trusted") \
    X(labels_evicted, counter, "remembered labels that had to make room")                                              \
    X(labels_refused, counter, "labels or trace ids too long to remember, or contended")                               \
    X(http1_connections, counter, "HTTP/1 connections relayed")                                                        \
    X(http1_bytes, counter, "bytes of HTTP/1 connections relayed")                                                     \
    X(http1_answers, counter, "HTTP/1 connections answered here: 400, 404, 431 or 503")                                \
    X(h2_streams_in, counter, "HTTP/2 streams opened by callers")                                                      \
    X(h2_streams_out, counter, "HTTP/2 streams opened to providers")                                                   \
    X(h2_resets_in, counter, "HTTP/2 streams reset by peers")                                                          \
    X(h2_resets_out, counter, "HTTP/2 streams reset here")                                                             \
    X(h2_goaways_in, counter, "GOAWAY frames of HTTP/2 peers")                                                         \
    X(h2_goaways_out, counter, "GOAWAY frames sent")                                                                   \
    X(bad_deadlines, counter, "HTTP/2 calls with a deadline that is not of its form: it is none, and passes as it is")    \
    X(ejections_errors, counter, "instances ejected for errors in a row")                                              \
    X(ejections_gateway, counter, "instances ejected for gateway errors in a row")                                     \
    X(ejections_local, counter, "instances ejected for failures to reach them in a row")                               \
    X(ejections_forbidden, counter, "ejections that maxEjectionPercent forbade")                                       \
    X(ejections_ended, counter, "instances that answered again after an ejection")                                     \
    X(busy_requests, counter, "calls refused, as connectionPool allows no more in flight")                             \
    X(busy_pending, counter, "calls refused, as connectionPool allows no more that wait for a connection")             \
    X(busy_connecting, counter, "calls that went elsewhere, as a connection took longer than connectTimeout")          \
    X(busy_connections, counter, "HTTP/1 connections refused, as connectionPool allows no more")                       \
    X(limit_max_body, counter, "limit maxBody")                                                                        \
    X(limit_max_depth, counter, "limit maxDepth")                                                                      \
    X(limit_max_classes, counter, "limit maxClasses")                                                                  \
    X(limit_max_attachments, counter, "limit maxAttachments")                                                          \
    X(limit_max_text, counter, "limit maxText: requests with a text taken for none, as it found no room or its encoding is not read") \
    X(limit_max_connections, counter, "limit maxConnections")                                                          \
    X(limit_max_calls, counter, "limit maxCalls")                                                                      \
    X(limit_max_calls_per_connection, counter, "limit maxCallsPerConnection")                                          \
    X(limit_h2_kept, counter, "limit h2Kept: HTTP/2 requests that could not have been sent elsewhere, as they are too long to be kept") \
    X(limit_ping_timeout, counter, "limit pingTimeout: connections to HTTP/2 peers that answered no PING, or whose TCP did not answer")  \
    X(limit_peer_header_list, counter, "calls and answers with more header fields than their receiver has said that it takes")  \
    X(limit_busy_connections, counter, "limit busyConnections: calls that waited, or went elsewhere, as no more are made to a peer that takes no more calls") \
    X(limit_spent_connections, counter, "limit spentConnections: calls that shared a connection which others have spent") \
    X(limit_h2_interims, counter, "limit h2Interims: HTTP/2 answers cut off, as too many interim ones came before them")  \
    X(limit_max_pending, counter, "limit maxPending: calls refused or moved, as too many waited until their peer takes more at once") \
    X(limit_judged_timeout, counter, "limit judgedTimeout: calls whose callers allowed them less, and that ran out of it")     \
    X(limit_max_delayed, counter, "limit maxDelayed: calls that did not wait as a rule would have it")                \
    X(limit_call_share, counter, "limit callShare: calls refused or moved, as their caller or peer had its share of what was left") \
    X(limit_max_tries, counter, "limit maxTries")                                                                      \
    X(limit_upstream_trials, counter, "limit upstreamTrials: such calls that were not alone on a connection")              \
    X(limit_trial_request, counter, "limit trialRequest: calls sent apart for their length")                            \
    X(limit_output_high, counter, "limit outputHigh: times a caller was paused, and interim answers to it dropped") \
    X(limit_upstream_output_high, counter, "limit upstreamOutputHigh: times a caller was paused")                      \
    X(limit_upstream_output_max, counter, "limit upstreamOutputMax: calls refused or moved")                           \
    X(limit_output_max, counter, "limit outputMax: answers replaced by status 100")                                    \
    X(limit_spare_blocks, counter, "limit spareBlocks: long blocks freed that might have been kept")                    \
    X(limit_max_memory, counter, "limit maxMemory: long frames and unread answers refused, connections closed")        \
    X(limit_max_inbound_services, counter, "limit maxInboundServices: inbound calls counted as `other`")               \
    X(limit_max_methods, counter, "limit maxMethods: calls counted as `other`")                                        \
    X(limit_max_service_methods, counter, "limit maxServiceMethods: calls counted as `other` of their service")           \
    X(limit_access_records, counter, "limit accessRecords: records of the access log dropped for want of room")        \
    X(limit_http_head, counter, "limit httpHead: connections answered with 431")                                       \
    X(limit_h2_streams, counter, "limit h2Streams: streams refused")                                                   \
    X(limit_h2_first_window, counter, "limit h2FirstWindow: streams reset as they sent more before anything was passed on") \
    X(limit_h2_stream_window, counter, "limit h2StreamWindow: streams reset as they sent more")                        \
    X(limit_h2_connection_window, counter, "limit h2ConnectionWindow: connections closed as they sent more")           \
    X(limit_h2_frame, counter, "limit h2Frame: connections closed as they sent a longer one")                          \
    X(limit_h2_header_list, counter, "limit h2HeaderList: messages refused")                                           \
    X(limit_h2_fields, counter, "limit h2Fields: messages refused")                                                    \
    X(limit_h2_growth, counter, "limit h2Growth: messages refused")                                                    \
    X(limit_h2_block, counter, "limit h2Block: connections closed")                                                    \
    X(limit_h2_continuations, counter, "limit h2Continuations: connections closed")                                    \
    X(limit_h2_resets, counter, "limit h2Resets: connections closed")                                                  \
    X(limit_h2_cancels, counter, "limit h2Cancels: calls put off")                                                     \
    X(limit_h2_cuts, counter, "limit h2Cuts: callers whose calls went apart (of connections: upstream_spent)") \
    X(limit_h2_window_share, counter, "limit h2WindowShare: times that a caller's calls went apart")                   \
    X(limit_h2_window_wait, counter, "limit h2WindowWait: calls that waited for a window, or for another connection") \
    X(limit_h2_controls, counter, "limit h2Controls: connections closed")                                              \
    X(limit_h2_empty_frames, counter, "limit h2EmptyFrames: callers' connections closed, and answers given up")         \
    X(limit_h2_settings, counter, "limit h2Settings: connections closed")                                              \
    X(limit_stall_timeout, counter, "limit stallTimeout: streams reset")                                                \
    X(limit_settings_timeout, counter, "limit settingsTimeout: connections closed")                                    \
    X(limit_call_timeout, counter, "calls that timed out")                                                             \
    X(limit_max_call_timeout, counter, "limit maxCallTimeout: calls that asked for more")                              \
    X(limit_connect_timeout, counter, "limit connectTimeout")                                                          \
    X(limit_frame_timeout, counter, "limit frameTimeout")                                                              \
    X(limit_detect_timeout, counter, "limit detectTimeout: providers dialled for callers that said nothing") \
    X(limit_greet_timeout, counter, "limit greetTimeout: such providers that said nothing either") \
    X(limit_max_silent, counter, "limit maxSilent: times that silent callers waited for their turn") \
    X(limit_idle_timeout, counter, "limit idleTimeout")                                                                \
    X(limit_relay_idle_timeout, counter, "limit relayIdleTimeout")                                                     \
    X(limit_tcp_keepalive, counter, "limit tcpKeepalive: relayed connections, and callers of HTTP/2, whose peer was gone") \
    X(limit_hedge_connect, counter, "limit hedgeConnect: times that calls did not wait for a slow connection") \
    X(limit_max_probes, counter, "limit maxProbes: times that peers waited for their turn")                            \
    X(limit_max_kept, counter, "limit maxKept: requests that were not kept")                                           \
    X(calls_limited, counter, "calls refused by a RateLimit")                                                          \
    X(mirrored, counter, "copies of calls made for mirrors; they are counted nowhere else")                            \
    X(mirrored_failed, counter, "copies of calls that were not answered")                                              \
    X(mirrored_skipped, counter, "copies of calls not sent: over a limit, of a request that never was whole, or with no instance to take them") \
    X(limit_max_mirrored, counter, "limit maxMirrored: copies of calls not made")                                      \
    X(limit_mirror_body, counter, "limit mirrorBody: copies of calls not sent")                                        \
    X(limit_mirror_memory, counter, "limit mirrorMemory: copies of calls not sent")                                    \
    X(limit_retry_percent, counter, "limits retryPercent and retryRate: calls not tried again")                        \
    X(limit_retry_body, counter, "limit retryBody: requests that were not kept")                                       \
    X(limit_heartbeat_timeout, counter, "limit heartbeatTimeout")                                                      \
    X(limit_pass_timeout, counter, "limit passTimeout: connections that stayed where they were, as calls on them were in flight or answers unread") \
    X(limit_drain_timeout, counter, "limit drainTimeout: calls cut off by the stop")                                   \
    X(memory_bytes, gauge, "memory that input and output of all connections take")                                     \
    X(events_dropped, counter, "event records dropped for want of room")                                               \
    X(out_of_memory, counter, "calls or connections shed for want of memory")

struct mf_counters {
#define X(name, kind, text) mf_atom64 name;
    MF_COUNTERS(X)
#undef X
};

/* The list above, in its order, ended by a NULL name. */
struct mf_counter_info {
    const char *name, *kind, *text;
};
const struct mf_counter_info *mf_counters_table(void);
