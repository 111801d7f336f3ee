/* fuzz_dubbo: any bytes as a frame; a request that is read is stamped, and must then be read with the stamp last. */
#include "codec/dubbo.h"
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
