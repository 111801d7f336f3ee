#pragma once
/* hessian_in: what the halves of hessian.h share. Private. */
#include "codec/hessian.h"
#include "codec/text.h"

/* One piece of a string: as mf_hessian_string, but 2 for a chunk that another piece follows. */
int mf_hessian_piece(struct mf_hessian *reader, struct mf_slice *out);
/* The piece behind a chunk: nothing else may follow it. */
int mf_hessian_next_piece(struct mf_hessian *reader, struct mf_slice *out);
/* A count of things of which each takes a byte at least: a body cannot claim more than it holds. */
int mf_hessian_count(struct mf_hessian *reader, uint32_t *out);
/* The name or number of a list's or a map's type. */
int mf_hessian_skip_type(struct mf_hessian *reader);
/* The rest of mf_hessian_text: `out` is the first piece, which is not ASCII or, with 2 for `rc`, not the last. */
int mf_hessian_convert(struct mf_hessian *reader, int rc, struct mf_text *text, struct mf_slice *out);

static inline int mf_hessian_refuse(struct mf_hessian *reader, int rc, const char *why)
{
    reader->why = why;
    return rc;
}

static inline int mf_hessian_short(struct mf_hessian *reader)
{
    return mf_hessian_refuse(reader, MF_EHESSIAN_SHORT, "a value runs past the end of the body");
}

static inline size_t mf_hessian_left(const struct mf_hessian *reader)
{
    return reader->body.len - reader->at;
}
