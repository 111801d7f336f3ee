#pragma once
/* engine: the data plane as one object: workers, their listeners, what they count.
 *
 * 1. mf_engine_new  2. mf_engine_listen for each listener  3. mf_engine_start  4. mf_engine_drain  5. mf_engine_stop
 * 6. mf_engine_free. One thread calls these: the one that also writes the table. The table and the trace memory are
 * the caller's and outlive the engine. */
#include "call/passed.h"
#include "engine/options.h"
#include "protocol/dubbo_counts.h"

struct mf_engine;

/* 0 or a negated errno; `*why` as in mf_loop_new. */
int mf_engine_new(const struct mf_engine_options *options, struct mf_engine **out, const char **why);
/* Binds now, so that a taken port is an error here. Returns the listener's number; `bound` gets the real address
 * (port 0 is resolved). With `fds` it goes on with these, which are its own from now on unless this fails, instead of
 * binding; where they are fewer than workers, some share one. It is shared then (mf_engine_share). */
int mf_engine_listen(struct mf_engine *engine, const struct mf_listen_options *options, struct mf_addr *bound);
/* Copies of a listener's sockets, one a worker, for another process: how many, or a negated errno. -EBUSY: it has not been
 * started, or it ends. They are the caller's to close. */
int mf_engine_copies(const struct mf_engine *engine, uint32_t listener, int fds[MF_WORKERS_MAX]);
/* Whether others have copies of a listener's sockets and go on with them. Then it stops to take connections when the engine
 * begins to end, and leaves those that wait, and the file of a UNIX socket, to them. Of sockets that it was given it is said
 * once the engine is to go on with them: the file gets its `mode` by that. -EBUSY: it ends already. */
int mf_engine_share(struct mf_engine *engine, uint32_t listener, bool shared);
int mf_engine_start(struct mf_engine *engine);
const char *mf_engine_loop_name(const struct mf_engine *engine);

/* Of the connections of these listeners (bit i: listener i), which are shared, those of Dubbo2 go to another process, and those
 * that have said nothing yet: each once nothing of it is under way, for which it is not read for passTimeout at most. The
 * listeners take no more. Once, before mf_engine_drain: 0; -EINVAL: one is not shared; -EBUSY: it has not been started, or
 * it ends. */
int mf_engine_pass(struct mf_engine *engine, uint32_t listeners);
/* The next connection that has left: 1, and it is the caller's; or 0. */
int mf_engine_next_passed(struct mf_engine *engine, struct mf_passed *out);
/* More may leave. To be looked at before mf_engine_next_passed. */
bool mf_engine_passing(const struct mf_engine *engine);
/* Goes on with a connection that another process had, or with one that had left here. 0: it is the engine's from now on;
 * -EAGAIN: its workers have yet to take others; -EINVAL: there is no such listener, or it takes no Dubbo2; -EBUSY: the engine
 * has not been started, or is at its end. */
int mf_engine_adopt(struct mf_engine *engine, const struct mf_passed *passed);

/* Begins to end: who calls in is told READONLY, and listeners stay open. */
void mf_engine_drain(struct mf_engine *engine);
/* Goes on with it, and is to be asked again and again: once nobody calls in any more, listeners close and the application
 * is told, too. True once no call is in flight and none is expected. How long that may take is the caller's to say. */
bool mf_engine_drained(struct mf_engine *engine);
/* Answers what is still in flight with an error, sends what is queued for at most frameTimeout, closes everything, ends
 * the threads and removes UNIX sockets' files; where it drains, after letting in who is being let in. 0; -EBUSY or -EEXIST: the engine
 * lives in a loop that cannot turn here (inside a turn of it, or another thread's), and lives on. */
int mf_engine_stop(struct mf_engine *engine);
/* Stops it first; where that fails nothing is freed. */
void mf_engine_free(struct mf_engine *engine);

/* Sums over the workers. */
void mf_engine_counters(const struct mf_engine *engine, struct mf_counters *out);
void mf_engine_serializations(const struct mf_engine *engine, struct mf_serialization_counters out[MF_SERIALIZATIONS]);
void mf_engine_loop_counts(const struct mf_engine *engine, struct mf_loop_counts *out);
/* Calls that no peer answered, by outcome. */
void mf_engine_ended_here(const struct mf_engine *engine, uint64_t out[MF_OUTCOMES]);
/* What each worker counts by names: the services of calls that come in, and methods (limit maxMethods). A name may come
 * once for each worker. */
void mf_engine_each_tallied(const struct mf_engine *engine, bool methods,
                            void (*fn)(void *arg, const struct mf_tallied *one), void *arg);

/* 1 and the record of a call that has ended, for the access log; or 0. */
int mf_engine_next_record(struct mf_engine *engine, struct mf_record *out);

/* Readable when there are events. */
int mf_engine_event_fd(const struct mf_engine *engine);
/* 1 and `out`, or 0. */
int mf_engine_next_event(struct mf_engine *engine, struct mf_event *out);
