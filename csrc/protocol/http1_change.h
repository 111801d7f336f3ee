#pragma once
/* http1_change: the head of an HTTP/1 request as a rule changes it, and what a rule answers in HTTP/1. */
#include "call/reply.h"
#include "codec/http1_head.h"

/* The head as it goes on, `*len` bytes that the caller frees, with `connection: close`: what comes behind the request would go
 * on unseen. 0; -ENOMEM; MF_ECHANGE: its connection becomes something else; or an error of its path:
 * it is refused. */
int mf_http1_change_head(const struct mf_http1_head *head, const struct mf_change *change, uint8_t **to, size_t *len);
/* A whole answer, the connection's last; the same. `bare`: of HEAD. */
int mf_http1_change_reply(const struct mf_reply *reply, bool bare, uint8_t **to, size_t *len);
