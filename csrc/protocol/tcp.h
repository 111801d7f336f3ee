#pragma once
/* tcp: plain bytes between two connections, for all that is not a protocol we read: telnet and QoS commands, others. */
#include "call/inlet.h"

struct mf_tcp {
    struct mf_conn conn; /* first */
    struct mf_conn *other; /* the pair's other half; NULL once it is gone */
    bool ended;            /* its peer has ended its output */
    struct mf_traffic *traffic;
};

extern const struct mf_conn_ops mf_tcp_ops;

/* Dials the address that the inlet forwards to, or that `conn` dialled itself, and joins the two; `conn` has the room of
 * an mf_tcp. 0, or an error: the caller closes `conn`. */
int mf_tcp_start(struct mf_conn *conn, struct mf_inlet *inlet);
