/* dubbo_memo: what is recalled of a request is what the parser would say of it, whatever was changed in its bytes. */
#include "codec/dubbo_memo.h"
#include "frames.h"

enum { PAIRS = 32, BODIES = 512 };

struct reading {
    int rc;
    struct mf_dubbo_request request;
    struct mf_pair pairs[PAIRS + MF_DUBBO_LEADING];
    uint8_t texts[2048];
};

static struct mf_dubbo_memo memo;
static int kept, recalled, continued, refused;

static struct {
    uint8_t serialization;
    struct mf_slice body;
} bodies[BODIES];
static int n_bodies;

static struct mf_dubbo_room room_of(struct reading *reading)
{
    return (struct mf_dubbo_room){reading->pairs, PAIRS, sizeof reading->texts, reading->texts};
}

static void read_whole(uint8_t serialization, struct mf_slice body, struct reading *out)
{
    const char *why;
    struct mf_dubbo_room room = room_of(out);
    out->rc = mf_dubbo_parse_request(serialization, body, NULL, &room, &out->request, &why);
}

static bool same(const struct mf_dubbo_request *a, const struct mf_dubbo_request *b)
{
    bool equal = mf_slice_eq(a->dubbo_version, b->dubbo_version) && mf_slice_eq(a->service, b->service) &&
                 mf_slice_eq(a->version, b->version) && mf_slice_eq(a->method, b->method) &&
                 mf_slice_eq(a->types, b->types) && mf_slice_eq(a->invoked, b->invoked) &&
                 a->n_attachments == b->n_attachments && a->attachments_at == b->attachments_at &&
                 a->arguments_at == b->arguments_at && a->n_arguments == b->n_arguments &&
                 a->timeout_ms == b->timeout_ms && a->generic == b->generic && a->complete == b->complete &&
                 a->plain == b->plain && a->at == b->at && a->attachments_end == b->attachments_end &&
                 a->text_lost == b->text_lost && a->callback == b->callback &&
                 a->says_closing == b->says_closing;
    for (uint32_t i = 0; equal && i < a->n_attachments; i++)
        equal = mf_slice_eq(a->attachments[i].key, b->attachments[i].key) &&
                mf_slice_eq(a->attachments[i].value, b->attachments[i].value) &&
                !a->attachments[i].value.ptr == !b->attachments[i].value.ptr;
    return equal;
}

/* What the memo makes of `body` against a reading of the whole. */
static void compare(uint8_t serialization, struct mf_slice bytes)
{
    struct mf_slice body = guarded(bytes);
    struct reading whole, rest;
    read_whole(serialization, body, &whole);
    if (!mf_dubbo_memo_leads(&memo, serialization, body)) {
        refused++;
        return;
    }
    if (mf_dubbo_memo_recall(&memo, body, NULL)) {
        recalled++;
        CHECK_INT(whole.rc, 0);
        CHECK(same(&memo.said, &whole.request));
        return;
    }
    const char *why = NULL;
    continued++;
    mf_dubbo_memo_strings(&memo, body, &rest.request);
    struct mf_dubbo_room room = room_of(&rest);
    CHECK_INT(mf_dubbo_parse_rest(serialization, body, NULL, &room, &rest.request, &why), whole.rc);
    CHECK(why);
    if (whole.rc == 0)
        CHECK(same(&rest.request, &whole.request));
}

static void gather(const struct frame *frame)
{
    struct mf_dubbo_head head;
    if (mf_dubbo_parse_head(mf_slice_of(frame->bytes, frame->len), 8 << 20, &head) != MF_DUBBO_HEAD_LEN ||
        !(head.flags & MF_DUBBO_REQUEST) || (head.flags & MF_DUBBO_EVENT) || frame->len < MF_DUBBO_HEAD_LEN)
        return;
    size_t len = frame->len - MF_DUBBO_HEAD_LEN;
    uint8_t *copy = malloc(len + 1);
    memcpy(copy, frame->bytes + MF_DUBBO_HEAD_LEN, len);
    CHECK(n_bodies < BODIES);
    bodies[n_bodies].serialization = head.serialization;
    bodies[n_bodies++].body = mf_slice_of(copy, len);
}

static bool keep(uint8_t serialization, struct mf_slice body)
{
    struct reading whole;
    read_whole(serialization, body, &whole);
    if (whole.rc || !mf_dubbo_memo_keep(&memo, serialization, body, &whole.request))
        return false;
    kept++;
    return true;
}

static void test_all_by_all(void)
{
    for (int i = 0; i < n_bodies; i++) {
        if (!keep(bodies[i].serialization, bodies[i].body))
            continue;
        int before = recalled;
        for (int j = 0; j < n_bodies; j++)
            compare(bodies[j].serialization, bodies[j].body);
        CHECK(recalled > before); /* its own at least */
    }
}

/* Every byte replaced, dropped and doubled: nothing may be recalled that is not there. */
static void test_mutants(void)
{
    static const uint8_t masks[] = {0x01, 0x02, 0x10, 0x80, 0xff};
    static uint8_t bytes[8200];
    for (int i = 0; i < n_bodies; i++) {
        struct mf_slice body = bodies[i].body;
        uint8_t serialization = bodies[i].serialization;
        if (body.len > 600 || !keep(serialization, body))
            continue;
        for (size_t at = 0; at < body.len; at++) {
            for (size_t m = 0; m < sizeof masks; m++) {
                memcpy(bytes, body.ptr, body.len);
                bytes[at] ^= masks[m];
                compare(serialization, mf_slice_of(bytes, body.len));
            }
            memcpy(bytes, body.ptr, at);
            memcpy(bytes + at, body.ptr + at + 1, body.len - at - 1);
            compare(serialization, mf_slice_of(bytes, body.len - 1));
            bytes[at] = body.ptr[at];
            memcpy(bytes + at + 1, body.ptr + at, body.len - at);
            compare(serialization, mf_slice_of(bytes, body.len + 1));
            compare(serialization, mf_slice_of(body.ptr, at)); /* a prefix */
        }
    }
}

/* The bytes of the attachments at the end of an argument are no attachments. */
static void test_tail_in_argument(void)
{
    static const char short_one[] = "\x05" "2.0.2" "\x03" "a.B" "\x01" "1" "\x01" "m" "\x12" "Ljava/lang/String;"
                                    "\x01" "x" "HZ";
    static const char long_one[] = "\x05" "2.0.2" "\x03" "a.B" "\x01" "1" "\x01" "m" "\x12" "Ljava/lang/String;"
                                   "\x04" "x" "\x01" "HZ";
    CHECK(keep(MF_DUBBO_HESSIAN2, mf_slice_of(short_one, sizeof short_one - 1)));
    struct mf_slice body = mf_slice_of(long_one, sizeof long_one - 1);
    CHECK(mf_dubbo_memo_leads(&memo, MF_DUBBO_HESSIAN2, body));
    CHECK(!mf_dubbo_memo_recall(&memo, body, NULL));
    CHECK(!mf_dubbo_memo_leads(&memo, MF_DUBBO_FASTJSON2, body));
}

/* What is too much for a memo, and what depends on the arguments, is not kept; and then nothing matches. */
static void test_not_kept(void)
{
    struct reading whole;
    static uint8_t big[4096] = "\x05" "2.0.2" "\x03" "a.B" "\x01" "1" "\x01" "m" "\x00" "H" "\x01" "k" "S\x0c\x00";
    size_t at = (size_t)((uint8_t *)memchr(big, 'S', 40) - big) + 3;
    memset(big + at, 'v', 0xc00);
    big[at + 0xc00] = 'Z';
    struct mf_slice body = mf_slice_of(big, at + 0xc00 + 1);
    read_whole(MF_DUBBO_HESSIAN2, body, &whole);
    CHECK_INT(whole.rc, 0);
    CHECK(!mf_dubbo_memo_keep(&memo, MF_DUBBO_HESSIAN2, body, &whole.request));
    CHECK(!mf_dubbo_memo_leads(&memo, MF_DUBBO_HESSIAN2, body));

    /* The argument is a map of type "t"; the attachments' map names that type by its number. */
    static const char typed[] = "\x05" "2.0.2" "\x03" "a.B" "\x01" "1" "\x01" "m" "\x03" "La;" "M" "\x01" "tZ" "M\x90Z";
    struct mf_slice second = mf_slice_of(typed, sizeof typed - 1);
    read_whole(MF_DUBBO_HESSIAN2, second, &whole);
    CHECK_INT(whole.rc, 0);
    CHECK(whole.request.complete && !whole.request.plain);
    CHECK(!mf_dubbo_memo_keep(&memo, MF_DUBBO_HESSIAN2, second, &whole.request));
}

int main(void)
{
    for_frames(gather);
    test_all_by_all();
    test_mutants();
    test_tail_in_argument();
    test_not_kept();
    CHECK(kept > 20 && recalled > 200 && continued > 1000 && refused > 1000);
    for (int i = 0; i < n_bodies; i++)
        free((void *)(uintptr_t)bodies[i].body.ptr);
    return test_end("codec/dubbo_memo");
}
