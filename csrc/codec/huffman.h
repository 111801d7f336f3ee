#pragma once
/* huffman: the static code of RFC 7541, appendix B, for texts in HTTP/2 header blocks. The tables in huffman_tbl.h are
 * written by huffman.py.
 *
 * Pure: no malloc, no clock, no descriptor. */
#include "base/err.h"
#include "base/slice.h"

/* No text is longer than this when it is decoded from `len` bytes: the shortest codes have 5 bits. */
#define MF_HUFFMAN_ROOM(len) ((len) * 8 / 5)

/* Decodes all of `in`; writes within `room` bytes at `to`, of which those behind the text may be touched.
 *
 * Returns the text's length; MF_ELIMIT when it is longer than `room`; MF_EHPACK_HUFFMAN for the EOS symbol, and for
 * an end that is neither a symbol nor less than 8 bits of ones (RFC 7541 5.2). Which of the two comes first is the
 * error.
 *
 * `*plain`: there is no control character in it, by the length of its codes; false says nothing. */
int64_t mf_huffman_decode(struct mf_slice in, uint8_t *to, size_t room, bool *plain);

/* How long the text is, without making it; or MF_EHPACK_HUFFMAN. */
int64_t mf_huffman_decoded_len(struct mf_slice in);

/* How many bytes mf_huffman_put writes for `text`. */
size_t mf_huffman_len(struct mf_slice text);

/* Encodes `text`, padded with ones; returns the length. */
size_t mf_huffman_put(uint8_t *to, struct mf_slice text);
