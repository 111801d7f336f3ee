/* dubbo, dubbo_stamp: heads, requests and stamps, by the golden frames: whole, cut at every byte, and with every byte changed. */
#include "codec/dubbo.h"
#include "frames.h"

enum { MAX = 8388608, PAIRS = 64 };

static struct mf_pair pairs[PAIRS + MF_DUBBO_LEADING];
static uint8_t texts[4096];
static const struct mf_dubbo_room room = {pairs, PAIRS, sizeof texts, texts};

static int parse(uint8_t serialization, struct mf_slice body, struct mf_dubbo_request *out)
{
    const char *why = NULL;
    int rc = mf_dubbo_parse_request(serialization, body, NULL, &room, out, &why);
    CHECK(why != NULL);
    CHECK((rc != 0) == (why && *why));
    CHECK(out->at <= body.len);
    return rc;
}

static int code_of(const char *name)
{
#define X(code, number, kind, text)                                                                                    \
    if (strcmp(name, #code) == 0)                                                                                      \
        return code;
    MF_ERRORS(X)
#undef X
    return 0;
}

static void check_text(const struct frame *frame, const char *key, struct mf_slice got)
{
    const char *want = expected(frame, key);
    if (want)
        CHECK_STR(got, want);
}

static void check_pairs(const struct frame *frame, const struct mf_dubbo_request *request)
{
    const char *want = expected(frame, "att");
    struct mf_pair leading[MF_DUBBO_LEADING];
    uint32_t n = request->n_attachments ? mf_dubbo_put_leading(request, leading) : 0;
    CHECK_INT(n, !request->n_attachments ? 0 : (request->dubbo_version.ptr != NULL) + (request->service.ptr != NULL) + (request->version.ptr != NULL));
    for (uint32_t i = 0; i < n; i++)
        CHECK(mf_slice_eq(leading[i].key, pairs[i].key) && mf_slice_eq(leading[i].value, pairs[i].value));
    while (want && *want) {
        size_t len = strcspn(want, ","), split = strcspn(want, ":!~");
        uint8_t key[256], value[1024];
        struct mf_slice k = mf_slice_of(want, split), v = mf_slice_of(want + split + 1, len - split - 1);
        if (want[split] == '!') {
            k = mf_slice_of(key, unhex(want, key, split / 2));
            v = mf_slice_of(value, unhex(want + split + 1, value, v.len / 2));
        } else if (want[split] == '~') {
            v = (struct mf_slice){0};
        }
        CHECK(n < request->n_attachments);
        CHECK(mf_slice_eq(k, pairs[n].key) && mf_slice_eq(v, pairs[n].value));
        CHECK((pairs[n].value.ptr == NULL) == (want[split] == '~'));
        n++;
        want += len + (want[len] == ',');
    }
    if (want)
        CHECK_INT(request->n_attachments, n);
}

static void check_request(const struct frame *frame, const struct mf_dubbo_head *head, struct mf_slice body)
{
    struct mf_dubbo_request request;
    const char *rc = expected(frame, "rc");
    CHECK(rc != NULL);
    if (!rc)
        return;
    CHECK_INT(parse(head->serialization, guarded(body), &request), code_of(rc));
    check_text(frame, "dubbo", request.dubbo_version);
    check_text(frame, "service", request.service);
    check_text(frame, "version", request.version);
    check_text(frame, "method", request.method);
    check_text(frame, "invoked", request.invoked);
    check_text(frame, "types", request.types);
    check_pairs(frame, &request);
    if (expected(frame, "timeout"))
        CHECK_INT(request.timeout_ms, atoll(expected(frame, "timeout")));
    if (expected(frame, "generic"))
        CHECK_INT(request.generic, atoi(expected(frame, "generic")));
    if (expected(frame, "complete"))
        CHECK_INT(request.complete, atoi(expected(frame, "complete")));
}

static const char *const event_names[] = {"heartbeat", "readonly", "writeable", "other"};

static void check_frame(const struct frame *frame)
{
    struct mf_slice in = mf_slice_of(frame->bytes, frame->len);
    struct mf_dubbo_head head = {0};
    int rc = mf_dubbo_parse_head(guarded(in), MAX, &head);
    if (expected(frame, "id"))
        CHECK_INT(head.id, strtoull(expected(frame, "id"), NULL, 10));
    if (expected(frame, "head")) {
        CHECK_INT(rc, code_of(expected(frame, "head")));
        return;
    }
    CHECK_INT(rc, MF_DUBBO_HEAD_LEN);
    CHECK_INT(head.body_len, frame->len - MF_DUBBO_HEAD_LEN);
    CHECK_INT(head.serialization, atoi(expected(frame, "ser")));
    CHECK_INT(head.status, expected(frame, "status") ? atoi(expected(frame, "status")) : head.status);
    struct mf_slice body = mf_slice_of(in.ptr + MF_DUBBO_HEAD_LEN, in.len - MF_DUBBO_HEAD_LEN);
    if (head.flags & MF_DUBBO_EVENT)
        CHECK(strcmp(event_names[mf_dubbo_event_of(head.serialization, guarded(body))], expected(frame, "event")) == 0);
    else if (head.flags & MF_DUBBO_REQUEST)
        check_request(frame, &head, body);
    for (size_t n = 0; n < MF_DUBBO_HEAD_LEN; n++)
        CHECK_INT(mf_dubbo_parse_head(guarded(mf_slice_of(in.ptr, n)), MAX, &head), MF_EMORE);
}

/* A body cut short is never taken for a whole one, but where some test clients really end: after the strings. */
static void check_prefixes(const struct frame *frame)
{
    if (!expected(frame, "rc"))
        return;
    uint8_t serialization = frame->bytes[2] & MF_DUBBO_SERIALIZATION;
    bool good = strcmp(expected(frame, "rc"), "ok") == 0;
    struct mf_dubbo_request whole;
    parse(serialization, mf_slice_of(frame->bytes + MF_DUBBO_HEAD_LEN, frame->len - MF_DUBBO_HEAD_LEN), &whole);
    size_t end = whole.attachments_end; /* what comes behind may be missing */
    for (size_t n = 0; n + MF_DUBBO_HEAD_LEN < frame->len && n < end; n++) {
        struct mf_slice cut = mf_slice_of(frame->bytes + MF_DUBBO_HEAD_LEN, n);
        for (int front = 0; front < 2; front++) {
            struct mf_dubbo_request request;
            int rc = parse(serialization, front ? guarded_front(cut) : guarded(cut), &request);
            CHECK(rc <= 0 && rc != MF_EMORE);
            if (good)
                CHECK(rc < 0 || !request.complete);
        }
    }
}

/* Reads whatever a connection would read of these bytes. */
static void read_whole(struct mf_slice in)
{
    struct mf_dubbo_head head;
    struct mf_dubbo_request request;
    struct mf_slice body = mf_slice_of(in.ptr + MF_DUBBO_HEAD_LEN, in.len - MF_DUBBO_HEAD_LEN);
    int rc = mf_dubbo_parse_head(in, MAX, &head);
    CHECK(rc == MF_DUBBO_HEAD_LEN || rc == MF_EDUBBO_MAGIC || rc == MF_EDUBBO_SIZE);
    if (rc != MF_DUBBO_HEAD_LEN)
        return;
    if (head.body_len < body.len)
        body.len = head.body_len;
    mf_dubbo_event_of(head.serialization, body);
    CHECK(parse(head.serialization, body, &request) <= 0);
}

/* Every byte, that of the head too, turned and replaced: no flip may lead out of the frame, to either side. */
static void check_flips(const struct frame *frame)
{
    static const uint8_t masks[] = {0x01, 0x80, 0xff, 0x10};
    static const uint8_t values[] = {0x00, 0x7f, 0xff, 'C', 'H', 'N', 'O', 'Q', 'R', 'S', 'V', 'Z', 0x91, 0xa4, 0xa6, 0xbe};
    if (frame->len < MF_DUBBO_HEAD_LEN || frame->len > 1000)
        return;
    for (int front = 0; front < 2; front++) {
        struct mf_slice whole = mf_slice_of(frame->bytes, frame->len);
        whole = front ? guarded_front(whole) : guarded(whole);
        for (size_t at = 0; at < whole.len; at++) {
            uint8_t *byte = (uint8_t *)whole.ptr + at;
            for (size_t m = 0; m < sizeof(masks); m++) {
                *byte = frame->bytes[at] ^ masks[m];
                read_whole(whole);
            }
            for (size_t v = 0; v < sizeof(values); v++) {
                *byte = values[v];
                read_whole(whole);
            }
            *byte = frame->bytes[at];
        }
    }
}

/* Stamped, then read again: everything before the pairs is the same, the pairs come last, and nothing of the body is
 * copied but what the tail has room for. */
static void check_stamp(const struct frame *frame)
{
    static uint8_t bytes[70000];
    struct mf_dubbo_request before, after;
    struct mf_dubbo_stamped stamped;
    uint8_t serialization = frame->bytes[2] & MF_DUBBO_SERIALIZATION;
    struct mf_slice body = mf_slice_of(frame->bytes + MF_DUBBO_HEAD_LEN, frame->len - MF_DUBBO_HEAD_LEN);
    if (!expected(frame, "rc"))
        return;
    struct mf_pair adds[] = {{MF_SLICE("x-label"), MF_SLICE("dev1")},
                             {MF_SLICE("path"), MF_SLICE("")},
                             {MF_SLICE("long"), MF_SLICE("0123456789012345678901234567890123456789012345678901234567")}};
    bool good = parse(serialization, body, &before) == 0 && before.complete;
    size_t most = mf_dubbo_stamp_room(adds, 3);
    uint8_t *tail = malloc(most);
    int rc = mf_dubbo_stamp(serialization, body, &before, adds, 3, tail, most, &stamped);
    if (!good) {
        CHECK_INT(rc, MF_EDUBBO_STAMP);
        CHECK(mf_slice_eq(stamped.front, body) && stamped.len == body.len);
        free(tail);
        return;
    }
    struct mf_pair old[PAIRS + MF_DUBBO_LEADING];
    uint8_t old_texts[sizeof texts];
    memcpy(old, pairs, sizeof old);
    memcpy(old_texts, texts, sizeof texts);
    CHECK_INT(rc, 0);
    CHECK(stamped.length.len + stamped.added.len <= most);
    CHECK_INT(stamped.len, stamped.front.len + stamped.length.len + stamped.old.len + stamped.added.len + stamped.behind.len);
    mf_dubbo_stamped_copy(&stamped, bytes);
    CHECK(memcmp(bytes, body.ptr, before.attachments_at) == 0);
    CHECK(mf_slice_eq(stamped.behind, mf_slice_of(body.ptr + before.attachments_end, body.len - before.attachments_end)));
    CHECK_INT(parse(serialization, mf_slice_of(bytes, stamped.len), &after), 0);
    CHECK_INT(mf_dubbo_stamp(serialization, body, &before, adds, 3, tail, most - 1, &stamped), MF_ELIMIT);
    free(tail);
    CHECK_INT(after.n_attachments, before.n_attachments + 3);
    CHECK_INT(after.attachments_at, before.attachments_at);
    CHECK(mf_slice_eq(after.service, before.service) && mf_slice_eq(after.method, before.method));
    for (uint32_t i = 0; i < before.n_attachments; i++) {
        bool made = old[i].value.ptr >= texts && old[i].value.ptr < texts + sizeof texts;
        struct mf_slice value = made ? mf_slice_of(old_texts + (old[i].value.ptr - texts), old[i].value.len) : old[i].value;
        CHECK(mf_slice_eq(value, pairs[i].value) && (value.ptr == NULL) == (pairs[i].value.ptr == NULL));
    }
    for (uint32_t i = 0; i < 3; i++) {
        CHECK(mf_slice_eq(adds[i].key, pairs[before.n_attachments + i].key));
        CHECK(mf_slice_eq(adds[i].value, pairs[before.n_attachments + i].value));
    }
}

static struct mf_dubbo_room room_of(uint32_t max, size_t text_len)
{
    return (struct mf_dubbo_room){pairs, max, text_len, texts};
}

/* Attachments of any length are stamped with the same small tail. */
static void test_long_stamp(void)
{
    enum { LONG = 3 << 20 };
    static const char lead[] = "\0\0\0\6N2.0.2\0\0\0\4La.B\0\0\0\2J1\0\0\0\2Jm\0\0\0\1I";
    size_t at = sizeof lead - 1;
    uint8_t *bytes = malloc(LONG + 128), *again = malloc(LONG + 256), tail[64], *p = bytes + at + 4;
    memcpy(bytes, lead, at);
    *p++ = 0xa6;
    memcpy(p, "\x4ctok\x79\x48", 6);
    mf_put32(p + 6, LONG);
    p += 10;
    memset(p, 'x', LONG);
    p += LONG;
    *p++ = 0xa5;
    mf_put32(bytes + at, (uint32_t)(p - bytes - (long)at - 4));
    struct mf_slice body = mf_slice_of(bytes, (size_t)(p - bytes));
    struct mf_dubbo_request request;
    struct mf_dubbo_stamped stamped;
    struct mf_pair add = {MF_SLICE("env"), MF_SLICE("dev1")};
    CHECK_INT(parse(MF_DUBBO_FASTJSON2, body, &request), 0);
    CHECK_INT(mf_dubbo_stamp(MF_DUBBO_FASTJSON2, body, &request, &add, 1, tail, sizeof tail, &stamped), 0);
    CHECK(stamped.old.ptr == bytes + at + 4 && stamped.old.len == body.len - at - 5);
    mf_dubbo_stamped_copy(&stamped, again);
    CHECK_INT(parse(MF_DUBBO_FASTJSON2, mf_slice_of(again, stamped.len), &request), 0);
    CHECK_INT(request.n_attachments, MF_DUBBO_LEADING + 2);
    CHECK_INT(pairs[MF_DUBBO_LEADING].value.len, LONG);
    CHECK_STR(pairs[MF_DUBBO_LEADING + 1].value, "dev1");
    free(bytes);
    free(again);
}

/* A text that must be converted and finds no room is there, but is not text; a key or a leading string is lost. */
static void test_text_room(void)
{
    static const char body[] = "\0052.0.2\003a.B\0011\001m\0H\001k\002\xed\xa0\xbd\xed\xba\x80\001l\001vZ";
    static const char key[] = "\0052.0.2\003a.B\0011\001m\0H\002\xed\xa0\xbd\xed\xba\x80\001v\001l\001vZ";
    static const char lead[] = "\0052.0.2R\0\1a\002.B\0011\001m\0HZ";
    struct mf_dubbo_request request;
    const char *why;
    for (size_t have = 0; have < 6; have++) {
        struct mf_dubbo_room small = room_of(PAIRS, have);
        CHECK_INT(mf_dubbo_parse_request(2, mf_slice_of(body, sizeof body - 1), NULL, &small, &request, &why), 0);
        CHECK_INT(request.n_attachments, MF_DUBBO_LEADING + 2);
        CHECK(request.text_lost == (have < 4) && !request.plain);
        CHECK((pairs[3].value.ptr == NULL) == (have < 4));
        CHECK_STR(pairs[3].value, have < 4 ? "" : "\xf0\x9f\x9a\x80");
        CHECK_STR(pairs[4].value, "v");
        CHECK_INT(mf_dubbo_parse_request(2, mf_slice_of(key, sizeof key - 1), NULL, &small, &request, &why), 0);
        CHECK_INT(request.n_attachments, MF_DUBBO_LEADING + (have < 4 ? 1 : 2));
        CHECK(request.text_lost == (have < 4));
        int rc = mf_dubbo_parse_request(2, mf_slice_of(lead, sizeof lead - 1), NULL, &small, &request, &why);
        CHECK_INT(rc, have < 3 ? MF_EDUBBO_OPAQUE : 0);
        CHECK_STR(request.service, have < 3 ? "" : "a.B");
    }
}


static void test_limits(void)
{
    struct mf_slice body = MF_SLICE("\0052.0.2\003a.B\0011\001m\0H\001a\001b\001c\001dZ");
    struct mf_dubbo_request request;
    struct mf_dubbo_room two = room_of(2, 64), one = room_of(1, 64);
    const char *why;
    CHECK_INT(mf_dubbo_parse_request(2, body, NULL, &two, &request, &why), 0);
    CHECK_INT(mf_dubbo_parse_request(2, body, NULL, &one, &request, &why), MF_ELIMIT);
    CHECK_STR(request.service, "a.B");
    struct mf_dubbo_limits limits = {.max_depth = 2, .max_classes = 1};
    body = MF_SLICE("\0052.0.2\003a.B\0011\001m\1IWWZZN");
    CHECK_INT(mf_dubbo_parse_request(2, body, &limits, &two, &request, &why), 0);
    body = MF_SLICE("\0052.0.2\003a.B\0011\001m\1IWWWZZZN");
    CHECK_INT(mf_dubbo_parse_request(2, body, &limits, &two, &request, &why), MF_EHESSIAN_DEPTH);
    body = MF_SLICE("\0052.0.2\003a.B\0011\001m\1IC\1a\x90"
                    "C\1b\x90"
                    "`N");
    CHECK_INT(mf_dubbo_parse_request(2, body, &limits, &two, &request, &why), MF_EHESSIAN_SIZE);
    CHECK_INT(mf_dubbo_parse_request(2, body, NULL, &two, &request, &why), 0);
    struct mf_dubbo_head head;
    uint8_t bytes[16];
    mf_dubbo_put_head(bytes, &(struct mf_dubbo_head){.id = 7, .body_len = 100, .flags = 0xc2, .serialization = 2});
    CHECK_INT(mf_dubbo_parse_head(mf_slice_of(bytes, 16), 100, &head), 16);
    CHECK_INT(mf_dubbo_parse_head(mf_slice_of(bytes, 16), 99, &head), MF_EDUBBO_SIZE);
    CHECK_INT(head.id, 7);
    CHECK(mf_dubbo_readable(2) && mf_dubbo_readable(23) && !mf_dubbo_readable(3) && !mf_dubbo_readable(22));
}

int main(void)
{
    CHECK(for_frames(check_frame) > 300);
    for_frames(check_prefixes);
    for_frames(check_flips);
    for_frames(check_stamp);
    test_long_stamp();
    test_text_room();
    test_limits();
    return test_end("codec/dubbo");
}
