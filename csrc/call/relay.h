#pragma once
/* relay: bytes between two connections, as they come: for protocols that are not read, or not beyond their beginning. */
#include "call/inlet.h"

/* To whoever waits for the other half: it is connected (0), or gone (an error), and another may be dialled. */
typedef void (*mf_relay_dialled_fn)(struct mf_conn *conn, int rc);

struct mf_relay {
    struct mf_conn conn; /* first */
    struct mf_conn *other; /* the pair's other half; NULL once it is gone */
    bool ended;            /* its peer has ended its output */
    struct mf_traffic *traffic;
    mf_atom64 *bytes;      /* where those of both directions are counted */
    mf_relay_dialled_fn on_dialled; /* up: NULL where nobody waits */
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
