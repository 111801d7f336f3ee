#pragma once
/* relay: bytes between two connections, as they come: for protocols that are not read, or not beyond their beginning. */
#include "call/inlet.h"

/* To whoever waits for the other half: it is connected (0), or gone (an error), and another may be dialled. */
typedef void (*mf_relay_dialled_fn)(struct mf_conn *conn, int rc);

/* A relay that was joined is over, by `rc` of its role's on_lost: bytes that came from `conn`, and that came for it. */
typedef void (*mf_relay_ended_fn)(struct mf_conn *conn, int rc, uint64_t up, uint64_t down);

struct mf_relay {
    struct mf_conn conn; /* first */
    struct mf_conn *other; /* the pair's other half; NULL once it is gone */
    bool ended;            /* its peer has ended its output */
    struct mf_traffic *traffic;
    mf_atom64 *bytes;      /* where those of both directions are counted */
    mf_atom64 *own;        /* where those that came from here are counted, too; NULL */
    uint64_t moved;        /* those */
    mf_relay_dialled_fn on_dialled; /* up: NULL where nobody waits */
    mf_relay_ended_fn on_ended;     /* down: NULL where nobody asks */
};

extern const struct mf_conn_ops mf_relay_ops;

/* Dials `to` as the other half of `conn`, which has the room of an mf_relay and keeps its role until mf_relay_join.
 * 0, or an error: nothing was begun. */
int mf_relay_dial(struct mf_conn *conn, const struct mf_inlet *inlet, const struct mf_addr *to, mf_atom64 *bytes,
                  mf_relay_dialled_fn on_dialled);
/* From now on all that comes from one half goes to the other, connected or not yet. */
void mf_relay_join(struct mf_conn *conn);
/* `conn` is gone: so is its other half, unless it waits for this one. */
void mf_relay_part(struct mf_conn *conn, int rc);
