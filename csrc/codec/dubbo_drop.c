/* Attachments taken out of a request (dubbo.h): their bytes are left out, and nothing else moves. */
#include "codec/change.h"
#include "codec/dubbo.h"
#include "codec/hessian.h"
#include "codec/jsonb.h"
#include "codec/text.h"

enum { KEY_ROOM = 512 };

/* Where the pieces that stay go. */
struct dropping {
    struct mf_slice body;
    const struct mf_change_list *list;
    struct mf_pair *over; /* those that cannot be left out */
    uint32_t n_over;
    uint8_t *to;
    size_t len, done; /* written; of the body, so far */
};

static void stay(struct dropping *drop, size_t upto)
{
    if (upto > drop->done)
        memcpy(drop->to + drop->len, drop->body.ptr + drop->done, upto - drop->done);
    drop->len += upto - drop->done;
    drop->done = upto;
}

/* An entry of that name, from `start` to `end`. `counted`: others refer to its value, or to what is defined in it, by number
 * or place. */
static void judge(struct dropping *drop, struct mf_slice key, size_t start, size_t end, bool counted)
{
    if (!mf_change_drops(drop->list, key))
        return;
    if (!counted) {
        stay(drop, start);
        drop->done = end;
        return;
    }
    for (uint32_t l = 0; l < drop->list->n_levels; l++)
        for (uint32_t i = 0; i < drop->list->levels[l].n_removes; i++)
            if (mf_slice_eq(drop->list->levels[l].removes[i], key) && drop->n_over < MF_CHANGE_FIELDS)
                drop->over[drop->n_over++] = (struct mf_pair){drop->list->levels[l].removes[i], {NULL, 0}};
}

/* Objects, maps and lists: each has a number, and a class that is defined in one has, too. */
static bool counted_hessian(uint8_t tag)
{
    return tag == 'C' || tag == 'O' || tag == 'H' || tag == 'M' || (tag >= 0x55 && tag <= 0x58) || (tag >= 0x60 && tag <= 0x7f);
}

static int drop_hessian(struct dropping *drop, const struct mf_dubbo_request *request, const struct mf_dubbo_limits *limits)
{
    struct mf_hessian reader;
    mf_hessian_init(&reader, drop->body, limits->max_depth, limits->max_classes);
    reader.at = request->arguments_at;
    int rc = 0;
    for (uint32_t i = 0; i < request->n_arguments && rc == 0; i++)
        rc = mf_hessian_skip(&reader);
    if (rc == 0)
        rc = mf_hessian_map_begin(&reader);
    if (rc <= 0)
        return rc;
    while ((rc = mf_hessian_map_next(&reader)) == 1) {
        uint8_t room[KEY_ROOM];
        struct mf_text text = {room, sizeof room, 0, 0};
        struct mf_slice key = {0};
        size_t start = reader.at;
        int named = mf_hessian_text(&reader, &text, &key);
        rc = named == MF_EHESSIAN_TYPE ? mf_hessian_skip(&reader) : named == MF_ELIMIT || named > 0 ? 0 : named;
        uint8_t tag = reader.at < drop->body.len ? drop->body.ptr[reader.at] : 0;
        if (rc == 0)
            rc = mf_hessian_skip(&reader);
        if (rc < 0)
            return rc;
        if (named == 1)
            judge(drop, key, start, reader.at, counted_hessian(tag));
    }
    return rc;
}

/* Arrays, objects, and what names one or a type. */
static bool counted_jsonb(uint8_t tag)
{
    return tag >= 0x7f && tag <= MF_JSONB_OBJECT;
}

static int drop_fastjson2(struct dropping *drop, const struct mf_dubbo_request *request, const struct mf_dubbo_limits *limits)
{
    struct mf_jsonb reader;
    size_t from = request->attachments_at + 4u;
    mf_jsonb_init(&reader, mf_slice_of(drop->body.ptr + from, request->attachments_end - from), limits->max_depth);
    int rc = mf_jsonb_map_begin(&reader);
    if (rc <= 0)
        return rc;
    while ((rc = mf_jsonb_map_next(&reader)) == 1) {
        uint8_t room[KEY_ROOM];
        struct mf_text text = {room, sizeof room, 0, 0};
        struct mf_slice key = {0};
        size_t start = reader.at;
        int named = mf_jsonb_text(&reader, &text, &key);
        rc = named == MF_EJSONB_TYPE ? mf_jsonb_skip(&reader) : named == MF_ELIMIT || named > 0 ? 0 : named;
        uint8_t tag = reader.at < reader.body.len ? reader.body.ptr[reader.at] : 0;
        if (rc == 0)
            rc = mf_jsonb_skip(&reader);
        if (rc < 0)
            return rc;
        if (named == 1)
            judge(drop, key, from + start, from + reader.at, counted_jsonb(tag));
    }
    return rc;
}

int mf_dubbo_drop(uint8_t serialization, struct mf_slice body, const struct mf_dubbo_request *request,
                  const struct mf_dubbo_limits *limits, const struct mf_change_list *list, struct mf_dubbo_dropped *out)
{
    struct dropping drop = {.body = body, .list = list, .over = out->over, .to = out->to};
    out->request = *request;
    if (!mf_dubbo_readable(serialization) || !request->complete || request->attachments_at >= body.len)
        return MF_EDUBBO_STAMP;
    bool hessian = serialization == MF_DUBBO_HESSIAN2;
    int rc = hessian ? drop_hessian(&drop, request, limits) : drop_fastjson2(&drop, request, limits);
    if (rc < 0)
        return rc;
    stay(&drop, request->attachments_end);
    uint32_t gone = request->attachments_end - (uint32_t)drop.len;
    stay(&drop, body.len);
    out->request.attachments_end -= gone;
    if (!hessian)
        mf_put32(out->to + request->attachments_at, mf_get32(body.ptr + request->attachments_at) - gone);
    out->body = mf_slice_of(out->to, drop.len);
    out->n_over = drop.n_over;
    return 0;
}
