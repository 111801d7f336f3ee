/* fuzz_dubbo: any bytes as a frame; a request that is read is stamped, and must then be read with the stamp last. */
#include "codec/change.h"
#include "codec/dubbo_argument.h"
#include "codec/dubbo_memo.h"
#include "codec/sniff.h"

#include <stdlib.h>

enum { PAIRS = 32, TEXT = 48 };

struct reading {
    struct mf_dubbo_request request;
    struct mf_pair pairs[PAIRS + MF_DUBBO_LEADING];
    uint8_t texts[TEXT];
};

static struct mf_dubbo_room room_of(struct reading *reading)
{
    return (struct mf_dubbo_room){reading->pairs, PAIRS, TEXT, reading->texts};
}

static bool within(struct mf_slice part, const uint8_t *start, size_t len)
{
    return part.ptr >= start && part.ptr + part.len <= start + len;
}

/* Each text lies in the body or in the room, or is one of the names that go with the leading strings. */
static int parse(uint8_t serialization, struct mf_slice body, struct reading *out)
{
    const char *why;
    struct mf_dubbo_room room = room_of(out);
    struct mf_dubbo_request *request = &out->request;
    int rc = mf_dubbo_parse_request(serialization, body, NULL, &room, request, &why);
    if (!why || rc > 0 || request->at > body.len || request->n_attachments > PAIRS + MF_DUBBO_LEADING)
        abort();
    struct mf_slice strings[] = {request->dubbo_version, request->service, request->version, request->method,
                                 request->types};
    for (size_t i = 0; i < sizeof(strings) / sizeof(*strings); i++)
        if (strings[i].ptr && !within(strings[i], body.ptr, body.len) && !within(strings[i], out->texts, TEXT))
            abort();
    for (uint32_t i = 0; i < request->n_attachments; i++) {
        struct mf_slice value = out->pairs[i].value;
        if (value.ptr ? !within(value, body.ptr, body.len) && !within(value, out->texts, TEXT) : value.len)
            abort();
    }
    return rc;
}

static bool same_value(struct mf_slice a, struct mf_slice b)
{
    return mf_slice_eq(a, b) && !a.ptr == !b.ptr;
}

/* What the memo of one body makes of another must be what the parser makes of it. */
static void recall(struct mf_dubbo_memo *memo, uint8_t serialization, struct mf_slice body)
{
    static struct reading whole, rest;
    const char *why;
    if (!mf_dubbo_memo_leads(memo, serialization, body))
        return;
    int rc = parse(serialization, body, &whole);
    const struct mf_dubbo_request *said = &memo->said;
    if (!mf_dubbo_memo_recall(memo, body, NULL)) {
        struct mf_dubbo_room room = room_of(&rest);
        said = &rest.request;
        mf_dubbo_memo_strings(memo, body, &rest.request);
        if (mf_dubbo_parse_rest(serialization, body, NULL, &room, &rest.request, &why) != rc)
            abort();
    } else if (rc) {
        abort();
    }
    const struct mf_dubbo_request *want = &whole.request;
    if (rc == 0 && (!mf_slice_eq(said->service, want->service) || !mf_slice_eq(said->method, want->method) ||
                    said->n_attachments != want->n_attachments || said->attachments_at != want->attachments_at ||
                    said->attachments_end != want->attachments_end || said->timeout_ms != want->timeout_ms ||
                    said->complete != want->complete || said->says_closing != want->says_closing))
        abort();
    for (uint32_t i = 0; rc == 0 && i < want->n_attachments; i++)
        if (!mf_slice_eq(said->attachments[i].key, whole.pairs[i].key) ||
            !same_value(said->attachments[i].value, whole.pairs[i].value))
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

/* What is asked of an answer must be good for any bytes; a mark that was found is gone once it is written over. */
static void answer(uint8_t serialization, struct mf_slice body)
{
    size_t at;
    mf_dubbo_error_begins(serialization, body, MF_SLICE("meshfast: "));
    if (!mf_dubbo_closing(serialization, body, NULL, &at))
        return;
    if (at + 4 > body.len || memcmp(body.ptr + at, "true", 4) != 0)
        abort();
    uint8_t *blank = malloc(body.len);
    memcpy(blank, body.ptr, body.len);
    memcpy(blank + at, MF_DUBBO_NOT_CLOSING, 4);
    if (mf_dubbo_closing(serialization, mf_slice_of(blank, body.len), NULL, &at))
        abort();
    free(blank);
}

static const struct mf_dubbo_limits limits = {MF_DUBBO_MAX_DEPTH, MF_DUBBO_MAX_CLASSES};

static bool is_word(struct mf_slice text)
{
    return mf_slice_eq(text, MF_SLICE("true")) || mf_slice_eq(text, MF_SLICE("false")) || mf_slice_eq(text, MF_SLICE("null"));
}

/* An argument lies in the body, or where it was told to be written, or is a word. */
static void argument(uint8_t serialization, struct mf_slice body, const struct mf_dubbo_request *request)
{
    uint8_t to[24];
    struct mf_slice found;
    for (uint32_t i = 0; i < 4; i++)
        if (mf_dubbo_argument(serialization, body, request, i, &limits, to, sizeof to, &found) == 1 && found.len &&
            !within(found, body.ptr, body.len) && !within(found, to, sizeof to) && !is_word(found))
            abort();
}

/* Without its first attachment it can still be read, and has at most as many. */
static void drop(uint8_t serialization, struct mf_slice body, const struct reading *before, struct reading *after)
{
    const struct mf_dubbo_request *request = &before->request;
    const struct mf_slice first = request->n_attachments ? before->pairs[0].key : MF_SLICE("x");
    struct mf_change_list list = {.n_levels = 1};
    list.levels[0] = (struct mf_change_level){.n_removes = 1, .removes = &first, .lower_removes = &first};
    struct mf_pair over[MF_CHANGE_FIELDS];
    struct mf_dubbo_dropped cut = {.to = malloc(body.len + 1), .over = over};
    cut.body = body;
    cut.request = *request;
    if (mf_dubbo_drop(serialization, body, request, &limits, &list, &cut) == 0 &&
        (cut.body.len > body.len || parse(serialization, cut.body, after) < 0 ||
         after->request.n_attachments > request->n_attachments))
        abort();
    free(cut.to);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static struct reading before, after;
    struct mf_slice in = mf_slice_of(data, len);
    struct mf_dubbo_head head;
    struct mf_pair add = {MF_SLICE("x-label"), MF_SLICE("dev1")};
    int rc = mf_dubbo_parse_head(in, 1 << 20, &head);
    if ((rc == MF_EDUBBO_MAGIC) != (len > 0 && mf_sniff(in) != MF_PROTOCOL_DUBBO && !(len == 1 && data[0] == 0xda)))
        abort();
    if (rc != MF_DUBBO_HEAD_LEN || len < MF_DUBBO_HEAD_LEN)
        return 0;
    struct mf_slice body = mf_slice_of(data + MF_DUBBO_HEAD_LEN, len - MF_DUBBO_HEAD_LEN);
    mf_dubbo_event_of(head.serialization, body);
    answer(head.serialization, body);
    rc = parse(head.serialization, body, &before);
    const struct mf_dubbo_request *request = &before.request;
    if (rc == 0 && request->plain)
        remember(head.serialization, body, request);
    if (rc == 0)
        argument(head.serialization, body, request);
    if (rc || !request->complete || request->n_attachments >= PAIRS)
        return 0;
    drop(head.serialization, body, &before, &after);
    uint8_t tail[128];
    struct mf_dubbo_stamped stamped;
    if (mf_dubbo_stamp(head.serialization, body, request, &add, 1, tail, sizeof tail, &stamped) != 0 ||
        stamped.behind.len != body.len - request->attachments_end)
        abort();
    uint8_t *whole = malloc(stamped.len);
    mf_dubbo_stamped_copy(&stamped, whole);
    const struct mf_pair *last = &after.pairs[request->n_attachments];
    if (parse(head.serialization, mf_slice_of(whole, stamped.len), &after) ||
        after.request.n_attachments != request->n_attachments + 1 ||
        !mf_slice_eq(after.request.method, request->method) || !mf_slice_eq(last->key, add.key) ||
        !mf_slice_eq(last->value, add.value))
        abort();
    free(whole);
    return 0;
}
