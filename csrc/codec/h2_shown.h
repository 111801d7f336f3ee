#pragma once
/* h2_shown: the fields of an HTTP/2 request as policy looks them up by name: two windows of one array of pairs.
 *
 *     baggage | fields as they came | version, group
 *     `------------------ labels ------------------'
 *               `------------- conditions ----------'
 *
 * A label is what the last field of its name says, as in the map that Dubbo makes of them, else a member of baggage. A
 * condition sees all values of a name (table/match_http.h), and no baggage, which anyone may add to. Pure: no malloc, no
 * clock, no descriptor. */
#include "codec/h2_view.h"

enum {
    MF_H2_SHOWN_BAGGAGE = 64,         /* members that are read; W3C lets no more be relied on ... */
    MF_H2_SHOWN_BAGGAGE_TEXT = 8192,  /* ... and no more bytes */
};
/* Pairs that always suffice for `n` fields. */
#define MF_H2_SHOWN_ROOM(n) ((size_t)(n) + 2 + MF_H2_SHOWN_BAGGAGE)

struct mf_h2_shown {
    const struct mf_pair *labels, *headers; /* the windows; a text that is empty has an address */
    uint32_t n_labels, n_headers;
    uint64_t name_lengths; /* bit n % 64: one of them has a name of n bytes */
    uint32_t lost;         /* members of baggage, for want of room, or as there were too many */
};

/* `to`: MF_H2_SHOWN_ROOM(n - request->regular) pairs. `baggage`: its members are wanted.
 *
 * version, group: tri-service-*. Where it says neither, GRPC and TRIPLE have version 1.0.0, which Dubbo for Java leaves out,
 * and no group. Fields of just these names are attachments like any other in TRIPLE, and there, or beside tri-service-*,
 * not shown; else they are what policy sees.
 *
 * Members of baggage: "key=value;properties", the value without its %XX; one that would be no value of a field is left
 * out. */
void mf_h2_shown_of(const struct mf_pair *fields, const struct mf_h2_mark *marks, uint32_t n,
                    const struct mf_h2_request *request, const struct mf_h2_view *view, bool baggage, struct mf_pair *to,
                    struct mf_h2_scratch *scratch, struct mf_h2_shown *out);
