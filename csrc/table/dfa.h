#pragma once
/* dfa: a regular expression compiled beforehand, matched in one pass and constant memory whatever the input.
 *
 * The blob, host byte order, 2-byte aligned: u16 n_states, u16 n_classes, u8 class[256], u8 accept[n_states] (padded
 * to an even length), u16 next[n_states * n_classes]. State 0 is dead, state 1 the start. A match is of the whole
 * input, as Istio's `regex`. */
#include "base/slice.h"

/* 0 when every state and class in the blob is in range and its length is right, else MF_ELIMIT. */
int mf_dfa_check(struct mf_slice blob);
/* `blob` has passed mf_dfa_check. */
bool mf_dfa_match(const uint8_t *blob, struct mf_slice input);
