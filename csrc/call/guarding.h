#pragma once
/* guarding: what outlier detection and connection pools do with the calls of a guard: whether one may begin or wait, and what
 * its end says of the peer. */
#include "call/govern.h"
#include "call/verdict.h"

/* It is to go to `route`'s peer, and has entered the guard. NULL; or why it may not: then it is counted nowhere. */
const struct mf_fault *mf_guarding_enter(struct mf_governed *governed, const struct mf_route *route);
/* It has entered the guard again, in which it was counted so: its bits. */
void mf_guarding_return(struct mf_governed *governed, uint8_t counted);
/* It leaves the peer, whatever became of it there. */
void mf_guarding_leave(struct mf_governed *governed);
/* What became of it there. */
void mf_guarding_judge(struct mf_governed *governed, struct mf_verdict verdict);
/* As its end has it; `code`: as in mf_message. */
struct mf_verdict mf_guarding_verdict(const struct mf_call *call, int stat, enum mf_outcome outcome, uint32_t code);
/* Whether it may wait for a connection; it is counted as waiting until it is asked or leaves. */
bool mf_guarding_wait(struct mf_governed *governed);
void mf_guarding_asked(struct mf_governed *governed);
