#pragma once
/* text: makes plain UTF-8 of what else is text on the wire, in room that the caller gives: Java's UTF-16, alone or unit by
 * unit in three bytes (CESU-8), and Latin-1.
 *
 * 1. mf_text_begin  2. mf_text_put_* for each piece  3. mf_text_end. Halves of a pair that lie in two pieces meet. A
 * half without its other stays as three bytes: it equals no text that anyone can write, as in Java. */
#include "base/slice.h"

struct mf_text {
    uint8_t *to; /* never NULL, however little room there is */
    size_t room, used;
    size_t _start; /* of the text under way */
};

static inline void mf_text_begin(struct mf_text *text)
{
    text->_start = text->used;
}

/* False: there is no room; the text under way is given up and the room is as before it. */
bool mf_text_put_utf8(struct mf_text *text, struct mf_slice piece); /* as each codec lets it pass: see hessian.c */
bool mf_text_put_utf16(struct mf_text *text, struct mf_slice piece, bool big_endian); /* an odd byte is left out */
bool mf_text_put_latin1(struct mf_text *text, struct mf_slice piece);

static inline struct mf_slice mf_text_end(const struct mf_text *text)
{
    return mf_slice_of(text->to + text->_start, text->used - text->_start);
}

/* True when the bytes need no conversion: no surrogates, nothing written longer than it must be. */
bool mf_text_plain(struct mf_slice bytes);
