#pragma once
/* tcp: plain bytes between two connections, for all that is not a protocol we read: telnet and QoS commands, others. */
#include "call/relay.h"

/* Dials the address that the inlet forwards to, or that `conn` dialled itself, and joins the two; `conn` has the room of
 * an mf_relay. 0, or an error: the caller closes `conn`. */
int mf_tcp_start(struct mf_conn *conn, struct mf_inlet *inlet);
