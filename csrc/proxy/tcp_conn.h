#pragma once
/* tcp_conn: plain bytes between two connections, for all that is not Dubbo2: telnet and QoS commands, other protocols. */
#include "proxy/conn.h"

extern const struct mf_protocol_ops mf_tcp_ops;

/* Dials the address that `down`'s listener forwards to, or that it dialled itself, and joins the two. 0, or an error
 * (the caller closes `down`). */
int mf_tcp_join(struct mf_conn *down);
/* Where a downstream connection was going: the redirected address, or the listener's forward. 0 or MF_EROUTE_PEER. */
int mf_conn_destination(const struct mf_conn *down, struct mf_addr *out);
