#pragma once
/* replace: every part of a text that a regular expression matches gives way to a text with its groups, in RE2's order: the
 * leftmost, and of those the one that the expression prefers.
 *
 * The blob, host byte order: u16 n_steps, u16 n_template; for each step u8 op, u8 low, u8 high, u8 0, u16 next, u16 other;
 * then the template: ASCII, and 0x80 | n for group n, 0 the whole. Step 0 is the first. Pure: no malloc. */
#include "base/slice.h"

enum mf_replace_op {
    MF_REPLACE_BYTE,  /* one from low to high */
    MF_REPLACE_SPLIT, /* `next`, or where that leads nowhere `other` */
    MF_REPLACE_SAVE,  /* the place: of slot `low`, group * 2 and, behind it, + 1 */
    MF_REPLACE_START, /* only at the text's start */
    MF_REPLACE_END,
    MF_REPLACE_MATCH,
};
enum { MF_REPLACE_STEPS = 256, MF_REPLACE_GROUPS = 10, MF_REPLACE_TEXT = 8192, MF_REPLACE_WORK = 1 << 18 };

/* 0 when all in it is in range, else MF_ELIMIT. */
int mf_replace_check(struct mf_slice blob);
/* Writes what becomes of `text` to `to`: its length. MF_ELIMIT: more than MF_REPLACE_TEXT bytes, than `room`, or than
 * MF_REPLACE_WORK steps, which bound the time whatever the expression is. `blob` has passed mf_replace_check. */
long mf_replace(struct mf_slice blob, struct mf_slice text, uint8_t *to, size_t room);
