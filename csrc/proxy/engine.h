#pragma once
/* engine: the data plane as one object: workers, their listeners, what they count.
 *
 * 1. mf_engine_new  2. mf_engine_listen for each listener  3. mf_engine_start  4. mf_engine_drain  5. mf_engine_stop
 * 6. mf_engine_free. One thread calls these: the one that also writes the table. The table and the trace memory are
 * the caller's and outlive the engine. */
#include "loop/loop.h"
#include "proxy/counters.h"
#include "proxy/limits.h"
#include "table/table.h"
#include "table/trace.h"

struct mf_engine;

enum { MF_WORKERS_MAX = 32, MF_LISTENERS_MAX = 32 };

struct mf_engine_options {
    uint32_t workers;             /* native threads; 0: runs inside `embed`'s turns */
    struct mf_loop_options loop;
    struct mf_loop *embed;        /* with 0 workers: the caller's loop */
    struct mf_limits limits;      /* see mf_limits_default */
    struct mf_table *table;
    struct mf_trace *trace;       /* may be NULL: no labels by trace id */
};

enum mf_direction { MF_OUTBOUND, MF_INBOUND };
enum mf_listen_protocol { MF_LISTEN_AUTO, MF_LISTEN_DUBBO, MF_LISTEN_TCP };

struct mf_listen_options {
    struct mf_slice name;      /* in metrics */
    struct mf_addr bind;
    enum mf_direction direction;
    enum mf_listen_protocol protocol; /* AUTO: Dubbo by its magic, else plain TCP; DUBBO: nothing else is let in */
    bool transparent;          /* unread calls and plain TCP go to the address the caller dialled */
    bool has_forward;
    struct mf_addr forward;    /* inbound: the application. Outbound: where unread calls and plain TCP go */
    struct mf_slice service;   /* outbound: the service whose routes unread calls take; empty: none */
};

void mf_limits_default(struct mf_limits *limits);
/* Sets the limit of that name: 0; MF_ELIMIT when `value` is below its least; -ENOENT when there is no such limit. */
int mf_limits_set(struct mf_limits *limits, const char *name, uint64_t value);

/* The lists of limits.h and counters.h, ended by a NULL name. */
struct mf_limit_info {
    const char *name, *unit, *text;
    uint64_t value, least;
};
struct mf_counter_info {
    const char *name, *kind, *text;
};
const struct mf_limit_info *mf_limit_table(void);
const struct mf_counter_info *mf_counter_table(void); /* in the order of struct mf_counters */

/* 0 or a negated errno; `*why` as in mf_loop_new. */
int mf_engine_new(const struct mf_engine_options *options, struct mf_engine **out, const char **why);
/* Binds now, so that a taken port is an error here. Returns the listener's number; `bound` gets the real address
 * (port 0 is resolved). */
int mf_engine_listen(struct mf_engine *engine, const struct mf_listen_options *options, struct mf_addr *bound);
int mf_engine_start(struct mf_engine *engine);
const char *mf_engine_loop_name(const struct mf_engine *engine);

/* Stops accepting, tells every downstream READONLY, lets calls in flight finish. */
void mf_engine_drain(struct mf_engine *engine);
/* True once no call is in flight and no downstream connection is left, or nothing but idle ones. */
bool mf_engine_drained(const struct mf_engine *engine);
/* Answers what is still in flight with an error, closes everything, ends the threads. */
void mf_engine_stop(struct mf_engine *engine);
void mf_engine_free(struct mf_engine *engine);

/* Sums over the workers. */
void mf_engine_counters(const struct mf_engine *engine, struct mf_counters *out);
void mf_engine_serializations(const struct mf_engine *engine, struct mf_serialization_counters out[MF_SERIALIZATIONS]);
void mf_engine_loop_counts(const struct mf_engine *engine, struct mf_loop_counts *out);

/* Records from the workers: what an operator wants in the log. */
enum mf_event_kind {
    MF_EVENT_PEER_DOWN, MF_EVENT_PEER_UP, MF_EVENT_PEER_READONLY, MF_EVENT_UPSTREAM_LOST, MF_EVENT_BAD_DOWNSTREAM,
    MF_EVENT_ACCEPT_FAILED,
};
struct mf_event {
    uint64_t at;     /* monotonic ns */
    uint16_t kind, worker;
    int32_t rc;
    char peer[MF_ADDR_TEXT];
};
/* Readable when there are events. */
int mf_engine_event_fd(const struct mf_engine *engine);
/* 1 and `out`, or 0. */
int mf_engine_next_event(struct mf_engine *engine, struct mf_event *out);
