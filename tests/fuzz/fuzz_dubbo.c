/* fuzz_dubbo: any bytes as a frame; a request that is read is stamped, and must then be read with the stamp last. */
#include "codec/dubbo_memo.h"
#include "codec/sniff.h"

#include <stdlib.h>

enum { PAIRS = 32 };

static int parse(uint8_t serialization, struct mf_slice body, struct mf_pair *pairs, struct mf_dubbo_request *out)
{
    const char *why;
    int rc = mf_dubbo_parse_request(serialization, body, NULL, pairs, PAIRS, out, &why);
    if (!why || rc > 0 || out->at > body.len || out->n_attachments > PAIRS)
        abort();
    return rc;
}

static void check_inside(struct mf_slice body, struct mf_slice part)
{
    if (part.len && (part.ptr < body.ptr || part.ptr + part.len > body.ptr + body.len))
        abort();
}

/* What the memo of one body makes of another must be what the parser makes of it. */
static void recall(struct mf_dubbo_memo *memo, uint8_t serialization, struct mf_slice body)
{
    struct mf_dubbo_request whole, rest;
    struct mf_pair pairs[PAIRS], room[PAIRS];
    const char *why;
    if (!mf_dubbo_memo_leads(memo, serialization, body))
        return;
    int rc = parse(serialization, body, pairs, &whole);
    const struct mf_dubbo_request *said = &memo->said;
    if (!mf_dubbo_memo_recall(memo, body, NULL)) {
        said = &rest;
        mf_dubbo_memo_strings(memo, body, &rest);
        rest.attachments = room;
        if (mf_dubbo_parse_rest(serialization, body, NULL, PAIRS, &rest, &why) != rc)
            abort();
    } else if (rc) {
        abort();
    }
    if (rc == 0 && (!mf_slice_eq(said->service, whole.service) || !mf_slice_eq(said->method, whole.method) ||
                    said->n_attachments != whole.n_attachments || said->attachments_at != whole.attachments_at ||
                    said->timeout_ms != whole.timeout_ms || said->complete != whole.complete))
        abort();
    for (uint32_t i = 0; rc == 0 && i < whole.n_attachments; i++)
        if (!mf_slice_eq(said->attachments[i].key, pairs[i].key) ||
            !mf_slice_eq(said->attachments[i].value, pairs[i].value))
            abort();
}

/* Keeps a body that was read, and shows the memo that body and one with a byte changed, near and far. */
static void remember(uint8_t serialization, struct mf_slice body, const struct mf_dubbo_request *request)
{
    static struct mf_dubbo_memo memo;
    if (!mf_dubbo_memo_keep(&memo, serialization, body, request))
        return;
    recall(&memo, serialization, body);
    uint8_t *changed = malloc(body.len);
    memcpy(changed, body.ptr, body.len);
    size_t at = request->arguments_at + (body.ptr[body.len / 2] * body.len / 256) % (body.len - request->arguments_at);
    changed[at] ^= (uint8_t)(1u << (body.len & 7));
    recall(&memo, serialization, mf_slice_of(changed, body.len));
    free(changed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct mf_slice in = mf_slice_of(data, len);
    struct mf_dubbo_head head;
    struct mf_dubbo_request before, after;
    struct mf_pair old[PAIRS], now[PAIRS], add = {MF_SLICE("x-label"), MF_SLICE("dev1")};
    int rc = mf_dubbo_parse_head(in, 1 << 20, &head);
    if ((rc == MF_EDUBBO_MAGIC) != (mf_sniff(in) == MF_PROTOCOL_OPAQUE))
        abort();
    if (rc != MF_DUBBO_HEAD_LEN || len < MF_DUBBO_HEAD_LEN)
        return 0;
    struct mf_slice body = mf_slice_of(data + MF_DUBBO_HEAD_LEN, len - MF_DUBBO_HEAD_LEN);
    mf_dubbo_event_of(head.serialization, body);
    rc = parse(head.serialization, body, old, &before);
    struct mf_slice strings[] = {before.dubbo_version, before.service, before.version, before.method, before.types};
    for (size_t i = 0; i < sizeof(strings) / sizeof(*strings); i++)
        check_inside(body, strings[i]);
    if (rc == 0 && before.plain)
        remember(head.serialization, body, &before);
    if (rc || !before.complete || before.n_attachments == PAIRS)
        return 0;
    size_t room = mf_dubbo_stamp_room(head.serialization, body, &before, &add, 1), cut;
    uint8_t *stamped = malloc(body.len + room), *tail = malloc(room);
    int n = mf_dubbo_stamp(head.serialization, body, &before, &add, 1, tail, room, &cut);
    if (n <= 0 || cut > body.len)
        abort();
    memcpy(stamped, body.ptr, body.len - cut);
    memcpy(stamped + body.len - cut, tail, (size_t)n);
    if (parse(head.serialization, mf_slice_of(stamped, body.len - cut + (size_t)n), now, &after) ||
        after.n_attachments != before.n_attachments + 1 || !mf_slice_eq(after.method, before.method) ||
        !mf_slice_eq(now[before.n_attachments].key, add.key) ||
        !mf_slice_eq(now[before.n_attachments].value, add.value))
        abort();
    free(stamped);
    free(tail);
    return 0;
}
