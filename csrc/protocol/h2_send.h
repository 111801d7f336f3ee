#pragma once
/* h2_send: blocks of fields, which wait for nothing, and DATA, which waits for windows and for the socket. Streams that
 * wait for the connection's window take turns, a frame each. */
#include "protocol/h2_core.h"

/* HEADERS and CONTINUATIONs: 0, or an error: the connection is doomed. `marks` and `again` may be NULL. */
int mf_h2_send_fields(struct mf_h2_conn *h2, uint32_t id, const struct mf_pair *fields, const struct mf_h2_mark *marks,
                      uint32_t n, bool end, struct mf_h2_again *again);
/* What may go now of `stream`, and of what waits. How many bytes of it went at once, or an error; with `end` nothing more
 * may be put. One of `block` and `source` is NULL, or both. */
long mf_h2_send_data(struct mf_h2_stream *stream, struct mf_slice data, struct mf_block *block, struct mf_sock *source,
                     bool end);
/* Trailers, behind what waits. */
int mf_h2_send_trailers(struct mf_h2_stream *stream, const struct mf_pair *fields, const struct mf_h2_mark *marks,
                        uint32_t n, struct mf_h2_again *again);
/* Windows have grown, or the socket has room. */
void mf_h2_send_pump(struct mf_h2_conn *h2);
/* A stream's window has changed: it takes its turn if it may. */
void mf_h2_send_turn(struct mf_h2_stream *stream);
/* The socket has sent all. */
void mf_h2_send_drained(struct mf_h2_conn *h2);
