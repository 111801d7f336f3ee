/* dubbo_drop: attachments taken out of the golden frames one by one, and values that others refer to. */
#include "codec/change.h"
#include "codec/dubbo.h"
#include "frames.h"

enum { PAIRS = 64 };

static const struct mf_dubbo_limits limits = {MF_DUBBO_MAX_DEPTH, MF_DUBBO_MAX_CLASSES};

struct seen {
    struct mf_pair pairs[PAIRS + MF_DUBBO_LEADING];
    uint8_t texts[4096];
    struct mf_dubbo_request request;
};

static int parse(uint8_t serialization, struct mf_slice body, struct seen *seen)
{
    const char *why;
    struct mf_dubbo_room room = {seen->pairs, PAIRS, sizeof seen->texts, seen->texts};
    return mf_dubbo_parse_request(serialization, body, NULL, &room, &seen->request, &why);
}

static uint8_t to[70000];
static struct mf_pair over[MF_CHANGE_FIELDS];

static int drop(uint8_t serialization, struct mf_slice body, const struct mf_dubbo_request *request, struct mf_slice name,
                struct mf_dubbo_dropped *out)
{
    struct mf_change_list list = {.n_levels = 1, .levels = {{.n_removes = 1, .removes = &name, .lower_removes = &name}}};
    *out = (struct mf_dubbo_dropped){.to = to, .over = over};
    return mf_dubbo_drop(serialization, body, request, &limits, &list, out);
}

static int n_dropped;

/* What is left is what was there but for the one, and stamps go where they should. */
static void check_one(uint8_t serialization, struct mf_slice body, const struct seen *before, struct mf_slice name)
{
    static struct seen after;
    struct mf_dubbo_dropped out;
    struct mf_dubbo_stamped stamped;
    static uint8_t tail[256], whole[70000];
    struct mf_pair add = {MF_SLICE("added"), MF_SLICE("1")}, nothing = {name, {NULL, 0}};
    CHECK_INT(drop(serialization, body, &before->request, name, &out), 0);
    struct mf_pair adds[] = {add, nothing};
    CHECK_INT(mf_dubbo_stamp(serialization, out.body, &out.request, adds, 1 + out.n_over, tail, sizeof tail, &stamped), 0);
    mf_dubbo_stamped_copy(&stamped, whole);
    CHECK_INT(parse(serialization, mf_slice_of(whole, stamped.len), &after), 0);
    struct mf_pair leads[MF_DUBBO_LEADING];
    uint32_t n = 0, leading = before->request.n_attachments ? mf_dubbo_put_leading(&before->request, leads) : 0;
    for (uint32_t i = 0; i < before->request.n_attachments; i++) {
        if (i >= leading && out.n_over == 0 && mf_slice_eq(before->pairs[i].key, name))
            continue;
        CHECK(n < after.request.n_attachments && mf_slice_eq(before->pairs[i].key, after.pairs[n].key));
        CHECK(mf_slice_eq(before->pairs[i].value, after.pairs[n].value));
        n++;
    }
    CHECK_INT(after.request.n_attachments, n + 1 + out.n_over);
    CHECK_STR(after.pairs[n].key, "added");
    if (out.n_over) {
        CHECK(mf_slice_eq(after.pairs[n + 1].key, name));
        CHECK(after.pairs[n + 1].value.ptr == NULL);
    }
    n_dropped += n < before->request.n_attachments;
}

static void check_frame(const struct frame *frame)
{
    static struct seen before;
    struct mf_dubbo_dropped out;
    uint8_t serialization = frame->bytes[2] & MF_DUBBO_SERIALIZATION;
    struct mf_slice body = mf_slice_of(frame->bytes + MF_DUBBO_HEAD_LEN, frame->len - MF_DUBBO_HEAD_LEN);
    if (!expected(frame, "rc"))
        return;
    if (parse(serialization, body, &before) != 0 || !before.request.complete) {
        CHECK_INT(drop(serialization, body, &before.request, MF_SLICE("x"), &out), MF_EDUBBO_STAMP);
        return;
    }
    check_one(serialization, body, &before, MF_SLICE("not there"));
    for (uint32_t i = 0; i < before.request.n_attachments; i++)
        check_one(serialization, body, &before, before.pairs[i].key);
}

/* A list has a number, which what is behind it may name: it is stamped over. */
static void test_counted(void)
{
    static struct seen before;
    struct mf_dubbo_dropped out;
    struct mf_slice body = MF_SLICE("\0052.0.2\003a.B\0011\001m\0H\001a\x79\001x\001b\x51\x91\001c\001dZ");
    CHECK_INT(parse(MF_DUBBO_HESSIAN2, body, &before), 0);
    CHECK_INT(drop(MF_DUBBO_HESSIAN2, body, &before.request, MF_SLICE("a"), &out), 0);
    CHECK_INT(out.n_over, 1);
    CHECK(mf_slice_eq(out.body, body));
    CHECK_INT(drop(MF_DUBBO_HESSIAN2, body, &before.request, MF_SLICE("b"), &out), 0); /* who refers to it may go */
    CHECK_INT(out.n_over, 0);
    CHECK_INT(out.body.len, body.len - 4);
    check_one(MF_DUBBO_HESSIAN2, body, &before, MF_SLICE("a"));
    check_one(MF_DUBBO_HESSIAN2, body, &before, MF_SLICE("c"));
}

int main(void)
{
    int n = for_frames(check_frame);
    CHECK(n > 100);
    CHECK(n_dropped > 100);
    test_counted();
    return test_end("codec/dubbo_drop");
}
