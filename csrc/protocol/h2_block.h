#pragma once
/* h2_block: HEADERS and PUSH_PROMISE with their CONTINUATIONs: one block of fields, decoded whatever becomes of its
 * stream, as the next one rests on it. */
#include "protocol/h2_core.h"

/* The frame that `head` begins, which is whole, and what follows it of its block, at the front of `rest`. How many bytes
 * it took; MF_EMORE; or 0: the connection has failed. */
long mf_h2_block_in(struct mf_h2_conn *h2, const struct mf_h2_head *head, struct mf_slice rest);
