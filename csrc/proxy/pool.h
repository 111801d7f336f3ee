#pragma once
/* pool: a worker's connections to one address, shared by the calls of many callers, and the calls that wait for one. */
#include "base/addr.h"
#include "base/list.h"
#include "table/peer.h"

struct mf_call;
struct mf_conn;
struct mf_worker;

struct mf_pool {
    struct mf_list node;  /* the worker's pools */
    struct mf_worker *worker;
    struct mf_peer *peer; /* held; NULL: an address that is not in the table (forward, or dialled) */
    uint32_t users;       /* listeners and connections that keep a pointer to it */
    struct mf_addr addr;
    struct mf_list conns, queue;
    uint64_t queued; /* bytes of the requests on `queue` */
    uint32_t n_conns, n_connecting;
    uint64_t last_used;
    uint64_t down_until;  /* without a peer: rests after a failed connect */
    uint32_t failures;
};

/* The pool of a peer of the table, or of an address; made when there is none. NULL: no memory. */
struct mf_pool *mf_pool_of_peer(struct mf_worker *worker, struct mf_peer *peer);
struct mf_pool *mf_pool_of_addr(struct mf_worker *worker, const struct mf_addr *addr);

/* A connection to send on now, or NULL: then one is being made (put the call on `queue`), or `*rc` says why not. */
struct mf_conn *mf_pool_pick(struct mf_pool *pool, int *rc);

/* The requests that wait are as many bytes as a connection may queue: `down`, which brought one, pauses. */
void mf_pool_check_queue(struct mf_pool *pool, struct mf_conn *down);

/* What became of a connection that was being made, or was there. `rc` 0: we closed it. */
void mf_pool_connected(struct mf_pool *pool, struct mf_conn *conn);
void mf_pool_lost(struct mf_pool *pool, struct mf_conn *conn, int rc);
/* It is there and says nothing: the peer rests, and after that single calls try it until it speaks. */
void mf_pool_silent(struct mf_pool *pool);
/* The peer has sent something: a connection that was accepted proves little, it may be a relay's. */
void mf_pool_alive(struct mf_pool *pool);
/* READONLY and WRITEABLE from the peer. */
void mf_pool_readonly(struct mf_pool *pool, struct mf_conn *conn, bool readonly);

/* Closes what is idle and no longer in the table; frees what is empty. Once a second. */
void mf_pool_sweep(struct mf_worker *worker);
/* Frees a pool whose connections and queue are gone. */
void mf_pool_free(struct mf_pool *pool);
