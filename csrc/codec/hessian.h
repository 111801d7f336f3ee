#pragma once
/* hessian: a pull reader of Hessian2 that never builds anything. Source: hessian-lite Hessian2Input, Hessian2Constants.
 *
 * 1. mf_hessian_init over a whole body
 * 2. any of: mf_hessian_string, mf_hessian_int, mf_hessian_skip, mf_hessian_map_next
 * 3. look at `at` to know how far it came
 * Class definitions seen on the way are remembered by their number of fields only. Nothing is ever instantiated. */
#include "base/err.h"
#include "base/slice.h"

struct mf_text;

enum { MF_HESSIAN_DEPTH = 1024, MF_HESSIAN_CLASSES = 1024 };

struct mf_hessian {
    struct mf_slice body;
    size_t at;              /* offset of the next value */
    const char *why;        /* static text of the last error */
    uint32_t max_depth;     /* at most MF_HESSIAN_DEPTH */
    uint32_t max_classes;   /* at most MF_HESSIAN_CLASSES */
    bool wide;              /* the last string that was not both short and ASCII has more than ASCII */
    uint32_t _n_classes;
    uint32_t _fields[MF_HESSIAN_CLASSES]; /* left uninitialised beyond _n_classes */
};

void mf_hessian_init(struct mf_hessian *reader, struct mf_slice body, uint32_t max_depth, uint32_t max_classes);

/* A string that lies in one piece: 1 and `out` (borrowed, UTF-8 as written, surrogate pairs unmerged); 0 for null
 * (`out` empty); MF_EHESSIAN_TYPE for another type or for a string in several chunks (nothing is consumed); other
 * MF_EHESSIAN_* for bad bytes. */
int mf_hessian_string(struct mf_hessian *reader, struct mf_slice *out);

/* A string of any form as plain UTF-8: as it lies where it can be, else made in `text`. 1; 0 for null; MF_EHESSIAN_TYPE
 * for another type (nothing is consumed); MF_ELIMIT where `text` has no room: the string is passed over, `out` empty. */
int mf_hessian_text(struct mf_hessian *reader, struct mf_text *text, struct mf_slice *out);

/* The string in a list of exactly one: 1; MF_EHESSIAN_TYPE for any other value, nothing is consumed; else as
 * mf_hessian_text. */
int mf_hessian_only_text(struct mf_hessian *reader, struct mf_text *text, struct mf_slice *out);

/* An int or long: 0, or MF_EHESSIAN_TYPE (nothing consumed), or MF_EHESSIAN_SHORT. */
int mf_hessian_integer(struct mf_hessian *reader, int64_t *out);

/* Passes over one value of any type, however deep: 0 or MF_EHESSIAN_*. Iterative; memory on the stack is bounded by
 * max_depth. */
int mf_hessian_skip(struct mf_hessian *reader);

/* Enters a map, typed or not: 1; 0 for null in its place; MF_EHESSIAN_TYPE for another type. */
int mf_hessian_map_begin(struct mf_hessian *reader);
/* At a key: 1; at the end of the map, which is consumed: 0. */
int mf_hessian_map_next(struct mf_hessian *reader);

/* Encodes a string (UTF-8 in, CESU-8 out, chunked as hessian-lite does). Room: mf_hessian_string_room(len). Returns
 * the length, or MF_ELIMIT. */
int mf_hessian_put_string(uint8_t *to, size_t room, struct mf_slice text);
size_t mf_hessian_string_room(size_t len);
