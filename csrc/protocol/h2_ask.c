#include "protocol/h2_ask.h"

#include "base/err.h"

/* Fields as their receiver counts them (RFC 9113 6.5.2). */
static bool fits(const struct mf_h2_conn *h2, const struct mf_pair *fields, uint32_t n)
{
    uint64_t size = 0;
    for (uint32_t i = 0; i < n; i++)
        size += fields[i].key.len + fields[i].value.len + MF_HPACK_OVERHEAD;
    return size <= h2->peer.header_list;
}

static bool has_length(const struct mf_h2_mark *marks, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        if (marks[i].name == MF_H2_NAME_CONTENT_LENGTH)
            return true;
    return false;
}

int mf_h2_ask(struct mf_link *link, struct mf_call *call, const struct mf_pair *fields, const struct mf_h2_mark *marks,
              uint32_t n, struct mf_h2_again *again)
{
    struct mf_h2_up *up = (struct mf_h2_up *)(void *)link->conn;
    int rc = 0;
    if (up->h2.peer.header_list != UINT32_MAX && !fits(&up->h2, fields, n)) {
        MF_COUNT(up->h2.share->local, limit_peer_header_list);
        return MF_EH2_LIST;
    }
    struct mf_h2_stream *h2 = mf_h2_stream_open(&up->h2, fields, marks, n, !call->asking, again, &rc);
    if (!h2)
        return rc;
    struct mf_h2_asked *asked = (struct mf_h2_asked *)(void *)h2;
    asked->call = call;
    asked->sized = call->asking && has_length(marks, n);
    call->at_callee = h2;
    return 0;
}
