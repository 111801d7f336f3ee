/* The texts of hessian.h that do not lie in one piece of plain UTF-8. */
#include "codec/hessian_in.h"

int mf_hessian_next_piece(struct mf_hessian *reader, struct mf_slice *out)
{
    int rc = mf_hessian_piece(reader, out);
    if (rc == MF_EHESSIAN_TYPE)
        return mf_hessian_refuse(reader, MF_EHESSIAN_TAG, "a chunk of a string is not followed by another");
    return rc;
}

int mf_hessian_convert(struct mf_hessian *reader, int rc, struct mf_text *text, struct mf_slice *out)
{
    if (rc == 1 && mf_text_plain(*out))
        return 1;
    mf_text_begin(text);
    bool fits = mf_text_put_utf8(text, *out);
    while (rc == 2) {
        rc = mf_hessian_next_piece(reader, out);
        fits = fits && rc >= 0 && mf_text_put_utf8(text, *out);
    }
    *out = fits ? mf_text_end(text) : (struct mf_slice){0};
    if (rc < 0)
        return rc;
    return fits ? 1 : mf_hessian_refuse(reader, MF_ELIMIT, "a text has no room");
}

/* Enters a list of one value, or of a number that is found at its end: 1; 0 for anything else. */
static int enter_list(struct mf_hessian *reader, bool *until_end)
{
    uint8_t tag = reader->body.ptr[reader->at];
    bool typed = tag == 0x55 || tag == 'V' || tag == 0x71, fixed = tag == 'V' || tag == 0x58;
    uint32_t n = 1;
    *until_end = tag == 0x55 || tag == 0x57;
    if (!typed && !fixed && !*until_end && tag != 0x79)
        return 0;
    reader->at++;
    int rc = typed ? mf_hessian_skip_type(reader) : 0;
    if (rc == 0 && fixed)
        rc = mf_hessian_count(reader, &n);
    return rc ? rc : n == 1;
}

int mf_hessian_only_text(struct mf_hessian *reader, struct mf_text *text, struct mf_slice *out)
{
    size_t start = reader->at, used = text->used;
    bool until_end;
    int rc = mf_hessian_left(reader) ? enter_list(reader, &until_end) : 0;
    if (rc == 1)
        rc = mf_hessian_text(reader, text, out);
    if (rc == 1 || rc == MF_ELIMIT) {
        if (!until_end || (mf_hessian_left(reader) && mf_hessian_map_next(reader) == 0))
            return rc;
    }
    reader->at = start; /* whatever it is, it is passed over as one value */
    text->used = used;
    *out = (struct mf_slice){0};
    return mf_hessian_refuse(reader, MF_EHESSIAN_TYPE, "a list of one string was expected");
}
