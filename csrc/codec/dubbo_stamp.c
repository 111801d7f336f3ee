/* The stamp of dubbo.h: attachments are added where the map ends; nothing that is there is decoded or copied. */
#include "codec/dubbo.h"
#include "codec/hessian.h"
#include "codec/jsonb.h"

size_t mf_dubbo_stamp_room(const struct mf_pair *pairs, uint32_t n_pairs)
{
    size_t room = 4 + 2; /* a length; the begin and the end of a map */
    for (uint32_t i = 0; i < n_pairs; i++)
        room += mf_hessian_string_room(pairs[i].key.len) + mf_hessian_string_room(pairs[i].value.len) +
                2 * MF_JSONB_STRING_HEAD;
    return room;
}

static struct mf_slice part(struct mf_slice body, size_t from, size_t to)
{
    return mf_slice_of(body.ptr + from, to - from);
}

static uint8_t *put_hessian(uint8_t *p, const struct mf_pair *pairs, uint32_t n_pairs)
{
    for (uint32_t i = 0; i < n_pairs; i++) {
        p += mf_hessian_put_string(p, mf_hessian_string_room(pairs[i].key.len), pairs[i].key);
        if (pairs[i].value.ptr)
            p += mf_hessian_put_string(p, mf_hessian_string_room(pairs[i].value.len), pairs[i].value);
        else
            *p++ = 'N';
    }
    *p++ = 'Z';
    return p;
}

static uint8_t *put_jsonb(uint8_t *p, const struct mf_pair *pairs, uint32_t n_pairs)
{
    for (uint32_t i = 0; i < n_pairs; i++) {
        p += mf_jsonb_put_string(p, pairs[i].key);
        if (pairs[i].value.ptr)
            p += mf_jsonb_put_string(p, pairs[i].value);
        else
            *p++ = MF_JSONB_NULL;
    }
    *p++ = MF_JSONB_OBJECT_END;
    return p;
}

static void stamp_hessian(struct mf_slice body, const struct mf_dubbo_request *request, const struct mf_pair *pairs,
                          uint32_t n_pairs, uint8_t *tail, struct mf_dubbo_stamped *out)
{
    uint8_t *p = tail;
    if (body.ptr[request->attachments_at] == 'N')
        *p++ = 'H';
    p = put_hessian(p, pairs, n_pairs);
    out->front = part(body, 0, request->attachments_end - 1u);
    out->added = mf_slice_of(tail, (size_t)(p - tail));
}

/* The length of the attachments goes before them; bytes behind their object, but within that length, stay there. */
static void stamp_fastjson2(struct mf_slice body, const struct mf_dubbo_request *request, const struct mf_pair *pairs,
                            uint32_t n_pairs, uint8_t *tail, struct mf_dubbo_stamped *out)
{
    size_t at = request->attachments_at, end = request->attachments_end;
    uint8_t *p = tail + 4;
    if (body.ptr[at + 4] == MF_JSONB_NULL)
        *p++ = MF_JSONB_OBJECT;
    p = put_jsonb(p, pairs, n_pairs);
    out->front = part(body, 0, at);
    out->length = mf_slice_of(tail, 4);
    out->old = part(body, at + 4, end - 1);
    out->added = mf_slice_of(tail + 4, (size_t)(p - tail - 4));
    mf_put32(tail, (uint32_t)(mf_get32(body.ptr + at) - 1 + out->added.len));
}

int mf_dubbo_stamp(uint8_t serialization, struct mf_slice body, const struct mf_dubbo_request *request,
                   const struct mf_pair *pairs, uint32_t n_pairs, uint8_t *tail, size_t room,
                   struct mf_dubbo_stamped *out)
{
    *out = (struct mf_dubbo_stamped){.front = body, .len = body.len};
    if (!mf_dubbo_readable(serialization) || !request->complete || request->attachments_at >= body.len)
        return MF_EDUBBO_STAMP;
    size_t most = mf_dubbo_stamp_room(pairs, n_pairs);
    if (room < most || body.len + most > INT32_MAX)
        return MF_ELIMIT;
    if (serialization == MF_DUBBO_HESSIAN2)
        stamp_hessian(body, request, pairs, n_pairs, tail, out);
    else
        stamp_fastjson2(body, request, pairs, n_pairs, tail, out);
    out->behind = part(body, request->attachments_end, body.len);
    out->len = out->front.len + out->length.len + out->old.len + out->added.len + out->behind.len;
    return 0;
}

static inline uint8_t *copy(uint8_t *to, const struct mf_slice *piece)
{
    if (piece->len)
        memcpy(to, piece->ptr, piece->len);
    return to + piece->len;
}

void mf_dubbo_stamped_copy(const struct mf_dubbo_stamped *stamped, uint8_t *to)
{
    to = copy(to, &stamped->front);
    to = copy(to, &stamped->length);
    to = copy(to, &stamped->old);
    to = copy(to, &stamped->added);
    copy(to, &stamped->behind);
}
