#pragma once
/* h2_name: numbers for the names of fields that are worth knowing, and which bytes a name or a value may have. The
 * lists in h2_name_tbl.h are written by h2_name.py: names of the static table of RFC 7541, of gRPC, Triple and
 * tracing.
 *
 * Pure: no malloc, no clock, no descriptor. */
#include "base/slice.h"
#include "codec/h2_name_tbl.h"

/* What is said of a field beside its text, by who decoded it or who wants it encoded. */
struct mf_h2_mark {
    uint8_t name;  /* enum mf_h2_name; MF_H2_NAME_OTHER for all that are not in the list */
    uint8_t flags; /* MF_H2_MARK_... */
};
enum {
    MF_H2_MARK_NEVER = 1,      /* never to be put into a table, by anyone who passes it on */
    MF_H2_MARK_PLAIN = 2,      /* another value each time: not worth a place in a table */
    MF_H2_MARK_BAD_NAME = 4,   /* mf_h2_name_good is false */
    MF_H2_MARK_BAD_VALUE = 8,  /* mf_h2_value_good is false */
};

/* Fields that tracing puts another value into for each request, and that mean nothing else. */
static inline bool mf_h2_name_traces(uint8_t name)
{
    return name >= MF_H2_NAME_TRACEPARENT && name <= MF_H2_NAME_EAGLEEYE_TRACEID;
}

/* The number of a name, by its exact bytes. */
enum mf_h2_name mf_h2_name_of(struct mf_slice name);
/* The same for a name in Huffman code, which need not be decoded then. */
enum mf_h2_name mf_h2_name_of_coded(struct mf_slice code);
/* The name of a number; empty for MF_H2_NAME_OTHER. */
struct mf_slice mf_h2_name_text(enum mf_h2_name name);
/* What a proxy that makes this field itself says of it: PLAIN and NEVER by the list, NEVER for cookies below 20 bytes
 * too, and nothing of good and bad. */
struct mf_h2_mark mf_h2_mark_of(struct mf_pair field);

/* `known` with its name, where that is not known yet, and BAD_* as the field's bytes are: what a decoder says of it. */
struct mf_h2_mark mf_h2_mark_judge(struct mf_pair field, struct mf_h2_mark known);

/* A token of RFC 9110 without upper-case letters, with ':' before it or not; not empty (RFC 9113 8.2.1). */
bool mf_h2_name_good(struct mf_slice name);
/* No control character but the tab, and no space or tab at either end (RFC 9113 8.2.1, RFC 9110 5.5). */
bool mf_h2_value_good(struct mf_slice value);
/* The second half of that. */
static inline bool mf_h2_value_trim(struct mf_slice value)
{
    uint8_t first = value.len ? value.ptr[0] : 0, last = value.len ? value.ptr[value.len - 1] : 0;
    return first != ' ' && first != '\t' && last != ' ' && last != '\t';
}
/* True for the characters of a token, upper-case letters among them. */
bool mf_h2_name_token(uint8_t c);
