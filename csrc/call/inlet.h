#pragma once
/* inlet: where calls come in: what a listener says of them, its connections, and where goes what policy does not route.
 * One of each listener in each worker. */
#include "call/pools.h"

/* Immutable while the engine runs. */
struct mf_inlet_options {
    enum mf_direction direction;
    bool transparent;          /* unread calls, unlisted services and plain TCP go to the address the caller dialled */
    bool has_forward;
    struct mf_addr forward;    /* inbound: the application. Outbound: where those go */
    struct mf_slice service;   /* outbound: the service whose routes unread calls take; empty: none */
    enum mf_label_trust labels; /* inbound: what callers' labels do */
    bool refuse_unknown;       /* outbound: calls to services that are not listed go nowhere */
};

enum { MF_DIALERS = 4 };

struct mf_inlet {
    const struct mf_inlet_options *options;
    struct mf_local *local;
    struct mf_calls *calls;
    struct mf_notes *notes;                /* the local's */
    struct mf_pools *pools;
    struct mf_list conns;                  /* all that came in here and are open; who has yet to hear `word` is in front */
    uint32_t word;                         /* how often `readonly` has changed */
    struct mf_timer telling;
    struct mf_pool *forward[MF_DIALERS];   /* by the dialer's index; made on first use */
    struct mf_watcher watchers[MF_DIALERS]; /* of those */
    bool gone[MF_DIALERS];                 /* inbound: those that ask for no calls */
    bool draining;
    bool readonly;                         /* callers should send no new calls: any of those */
};

void mf_inlet_init(struct mf_inlet *inlet, const struct mf_inlet_options *options, struct mf_local *local,
                   struct mf_calls *calls, struct mf_pools *pools);
void mf_inlet_dispose(struct mf_inlet *inlet);
/* It came in here. What holds now is told by who lets it in. */
void mf_inlet_add(struct mf_inlet *inlet, struct mf_conn *conn);
/* READONLY for good. All its connections are told at once; who comes later, by who lets them in. */
void mf_inlet_drain(struct mf_inlet *inlet);
/* Where `conn` was going: the redirected address, or the listener's forward. 0 or MF_EROUTE_PEER. */
int mf_inlet_address(const struct mf_inlet *inlet, const struct mf_conn *conn, struct mf_addr *out);

/* What is known of one connection, once it was asked for: the pool of the address that it dialled itself, and whose it
 * is. */
struct mf_inlet_own {
    struct mf_pool *pool;
    struct mf_watcher watcher;
    uint32_t caller; /* 0: not asked yet */
};
void mf_inlet_own_init(struct mf_inlet_own *own, void (*on_readonly)(struct mf_watcher *watcher, bool readonly), void *arg);
void mf_inlet_let_go(struct mf_inlet_own *own);
/* A hash of the address that a connection comes from, whatever its port; of a UNIX socket, of the process. Never 0. */
uint32_t mf_inlet_caller(struct mf_inlet_own *own, const struct mf_conn *conn);

/* The pool of that address: the listener's forward, or the one that this connection dialled. NULL: `*rc` is
 * MF_EROUTE_PEER or -ENOMEM. */
struct mf_pool *mf_inlet_pool(struct mf_inlet *inlet, struct mf_dialer *dialer, const struct mf_conn *conn,
                              struct mf_inlet_own *own, int *rc);
