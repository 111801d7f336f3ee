#include "codec/dubbo_memo.h"

static struct mf_slice moved(struct mf_slice slice, const uint8_t *from, const uint8_t *to)
{
    return mf_slice_of(slice.ptr ? to + (slice.ptr - from) : NULL, slice.len);
}

static void move_strings(struct mf_dubbo_request *request, const uint8_t *from, const uint8_t *to)
{
    struct mf_slice *strings[] = {&request->dubbo_version, &request->service, &request->version,
                                  &request->method,        &request->types,   &request->invoked};
    for (size_t i = 0; i < sizeof strings / sizeof *strings; i++)
        *strings[i] = moved(*strings[i], from, to);
}

bool mf_dubbo_memo_keep(struct mf_dubbo_memo *memo, uint8_t serialization, struct mf_slice body,
                        const struct mf_dubbo_request *request)
{
    memo->_lead = 0;
    if (!request->plain || request->n_attachments > MF_DUBBO_MEMO_PAIRS)
        return false;
    size_t lead = request->arguments_at, tail = body.len - request->attachments_at;
    if (lead + tail > MF_DUBBO_MEMO_ROOM)
        return false;
    memcpy(memo->_bytes, body.ptr, lead);
    memcpy(memo->_bytes + lead, body.ptr + request->attachments_at, tail);
    memo->_tail = (uint32_t)tail;
    memo->_serialization = serialization;

    struct mf_dubbo_request *said = &memo->said;
    *said = *request;
    move_strings(said, body.ptr, memo->_bytes);
    said->attachments = memo->_pairs;
    const uint8_t *from = body.ptr + request->attachments_at, *to = memo->_bytes + lead;
    for (uint32_t i = mf_dubbo_put_leading(said, memo->_pairs); i < said->n_attachments; i++)
        memo->_pairs[i] = (struct mf_pair){moved(request->attachments[i].key, from, to),
                                           moved(request->attachments[i].value, from, to)};
    memo->_lead = (uint32_t)lead;
    return true;
}

bool mf_dubbo_memo_leads(const struct mf_dubbo_memo *memo, uint8_t serialization, struct mf_slice body)
{
    return memo->_lead && memo->_serialization == serialization && body.len >= memo->_lead &&
           memcmp(memo->_bytes, body.ptr, memo->_lead) == 0;
}

void mf_dubbo_memo_strings(const struct mf_dubbo_memo *memo, struct mf_slice body, struct mf_dubbo_request *out)
{
    *out = memo->said;
    move_strings(out, memo->_bytes, body.ptr);
}

bool mf_dubbo_memo_recall(struct mf_dubbo_memo *memo, struct mf_slice body, const struct mf_dubbo_limits *limits)
{
    if (body.len - memo->_lead < memo->_tail)
        return false;
    size_t at = body.len - memo->_tail;
    if (memcmp(memo->_bytes + memo->_lead, body.ptr + at, memo->_tail) != 0)
        return false;
    /* The arguments must end just there: the same bytes could be the end of a longer argument. */
    if (mf_dubbo_skip_arguments(memo->_serialization, body, &memo->said, limits) != (int64_t)at)
        return false;
    memo->said.attachments_end = (uint32_t)(at + memo->said.attachments_end - memo->said.attachments_at);
    memo->said.attachments_at = (uint32_t)at;
    memo->said.at = memo->said.attachments_end;
    return true;
}
