#pragma once
/* dfa: a regular expression compiled beforehand, matched in one pass and constant memory whatever the input.
 *
 * The blob, host byte order: u16 n_states, u16 n_classes, u8 class[256], u8 accept[n_states] (padded to an even
 * length), u16 next[n_states * n_classes]. State 0 is dead (accepts nothing, is never left), state 1 the start. A match
 * is of the whole input, as Istio's `regex`. */
#include "base/slice.h"

/* 0 when every state and class in the blob is in range and its length is right, else MF_ELIMIT. */
int mf_dfa_check(struct mf_slice blob);
/* `blob` has passed mf_dfa_check. */
bool mf_dfa_match(const uint8_t *blob, struct mf_slice input);

/* The same for an input in pieces: from MF_DFA_START, step over each piece, then ask. */
enum { MF_DFA_START = 1 };
uint32_t mf_dfa_step(const uint8_t *blob, uint32_t state, struct mf_slice input);
bool mf_dfa_accepts(const uint8_t *blob, uint32_t state);
