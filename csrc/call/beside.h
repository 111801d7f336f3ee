#pragma once
/* beside: what is kept of some calls beside them (enum mf_beside), when they end. */
#include "call/call.h"

/* It is over, and still with its callee. `code`: of an answer's end, as in mf_message. */
__attribute__((cold)) void mf_beside_end(struct mf_call *call, int status_index, enum mf_outcome outcome,
                                         uint64_t bytes_down, uint32_t code);
/* Where its request comes part by part: it is with a callee, from the beginning; more of it is about to go on. */
__attribute__((cold)) void mf_beside_asked(struct mf_call *call);
__attribute__((cold)) void mf_beside_more(struct mf_call *call, const struct mf_message *message);
/* A one-way call that has a note was written to `callee`. */
__attribute__((cold)) void mf_beside_sent(struct mf_call *call, const struct mf_callee *callee);
