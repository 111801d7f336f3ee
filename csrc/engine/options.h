#pragma once
/* options: what an engine and its listeners are told, and what they tell. */
#include "base/addr.h"
#include "call/note.h"
#include "table/label.h"

enum mf_listen_protocol { MF_LISTEN_AUTO, MF_LISTEN_DUBBO, MF_LISTEN_TCP, MF_LISTEN_HTTP2 };

enum { MF_WORKERS_MAX = 32, MF_LISTENERS_MAX = 32 };

struct mf_engine_options {
    uint32_t workers;             /* native threads; 0: runs inside `embed`'s turns */
    struct mf_loop_options loop;
    struct mf_loop *embed;        /* with 0 workers: the caller's loop */
    struct mf_limits limits;      /* see mf_limits_default */
    struct mf_table *table;
    struct mf_trace *trace;       /* may be NULL: no labels by trace id */
    uint32_t access_sample;       /* of MF_NOTE_ALL_CALLS, how many have a record made; 0: no access log */
};

struct mf_listen_options {
    struct mf_slice name;      /* in metrics */
    struct mf_addr bind;
    const int *fds;            /* sockets that listen there already, at most one a worker: see mf_engine_listen */
    uint32_t n_fds;            /* 0: it makes its own */
    uint32_t mode;             /* of a UNIX socket's file; 0: 0600, or as it is with `fds` */
    enum mf_direction direction;
    enum mf_listen_protocol protocol; /* AUTO: by its first bytes, else plain TCP; DUBBO, HTTP2: nothing else is let in */
    bool transparent;          /* unread calls, unlisted services and plain TCP go to the address the caller dialled */
    bool has_forward;
    struct mf_addr forward;    /* inbound: the application. Outbound: where those go */
    struct mf_slice service;   /* outbound: the service whose routes unread calls take; empty: none */
    enum mf_label_trust labels; /* inbound: what callers' labels do */
    bool refuse_unknown;       /* outbound: calls to services that are not listed go nowhere */
};

/* A record from a worker: what an operator wants in the log. */
struct mf_event {
    uint64_t at;     /* monotonic ns */
    uint16_t kind, worker;
    int32_t rc;
    char peer[MF_ADDR_TEXT];
};
