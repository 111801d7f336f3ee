/* dubbo_conn: every golden frame through an engine, cut at every byte, cut short at every byte, byte by byte and with
 * every byte changed, from a caller and from a provider. A cut must make no difference to anyone. What is read ends at a
 * page that must not be touched (fake.h); what must hold of answers is in pair.h. */
#include "codec/frames.h"
#include "pair.h"

static enum mf_direction direction;
static int provider; /* the number of its connection */

/* What everybody got: the provider's frame without our id, what the caller got, who was let go. */
static struct fake_bytes story;

static void tell(int i)
{
    struct fake_bytes *out = &fake.conns[i].out;
    size_t at = story.len;
    fake_add(&story, out->ptr, out->len);
    if (i == provider && out->len >= 16)
        memset(story.ptr + at + 4, 0, 8);
}

static void turns(int caller)
{
    for (int i = 0; i < 4; i++) {
        fake_turn(0);
        tell(provider);
        tell(caller);
        pair_look();
    }
}

static void restart(void)
{
    struct mf_limits limits;
    struct mf_listen_options listen = {.direction = direction, .protocol = MF_LISTEN_DUBBO};
    static uint8_t frame[PAIR_REQUEST];
    mf_limits_default(&limits);
    limits.upstream_trials = 0; /* the provider takes one connection */
    mf_addr_parse(MF_SLICE("127.0.0.1:0"), &listen.bind);
    mf_addr_parse(MF_SLICE("127.0.0.1:1"), &listen.forward);
    listen.has_forward = direction == MF_INBOUND;
    pair_open(&limits, &listen, 1);
    fake_connect();
    pair_send(0, frame, pair_request(frame, 0, 1, 0xc0, "svc", 0, NULL, NULL));
    pair_turn(0);
    provider = 1;
    CHECK_INT(fake.n, 2);
    fake_answer_connect(&fake.conns[provider], 0);
    pair_turn(0);
    CHECK_INT(pair.n_asked, 1);
    pair_send(provider, frame, pair_answer(frame, 0, 20, 0));
    pair_turn(0);
    CHECK_INT(pair.sides[0].n_due, 0);
    pair.n_asked = pair.n_marks = 0;
}

/* Ends all callers but the first, and makes room for as many again. */
static void clear(void)
{
    static uint8_t frame[PAIR_REQUEST];
    for (int k = 0; k < pair.n_asked; k++)
        if (pair.asked[k].two_way && !pair.asked[k].answered)
            pair_send(provider, frame, pair_answer(frame, k, 20, 0));
    for (int i = 2; i < fake.n; i++)
        fake.conns[i].eof = true;
    for (int i = 0; i < 3; i++)
        pair_turn(0);
    for (int i = 2; i < fake.n; i++)
        fake.conns[i].reset = true;
    pair_turn(0);
    pair_turn(0);
    for (int i = 2; i < fake.n; i++) {
        struct side *side = &pair.sides[i];
        CHECK(fake.conns[i].sock == NULL);
        free(fake.conns[i].in.ptr);
        free(fake.conns[i].out.ptr);
        free(side->said.rest.ptr);
        free(side->heard.rest.ptr);
        free(side->sent.ptr);
        memset(side, 0, sizeof *side);
        side->counted = true;
    }
    fake.n = 2;
    pair.n_asked = pair.n_marks = 0;
    story.len = 0;
    for (int i = 0; i < 2; i++)
        pair.sides[i].sent.len = 0;
    if (!fake.conns[provider].sock || !fake.conns[0].sock) {
        pair_close();
        restart();
    }
}

/* --- from a caller */

/* `step` bytes at a time from `first` on; then the provider answers what it was asked. */
static void say(struct mf_slice bytes, size_t first, size_t step)
{
    static uint8_t frame[PAIR_REQUEST];
    int caller = fake_connect() ? fake.n - 1 : -1;
    CHECK_INT(caller, 2);
    pair_send(caller, bytes.ptr, first);
    turns(caller);
    for (size_t at = first; at < bytes.len; at += step) {
        pair_send(caller, bytes.ptr + at, step < bytes.len - at ? step : bytes.len - at);
        turns(caller);
    }
    if (pair.n_asked && pair.asked[0].two_way)
        pair_send(provider, frame, pair_answer(frame, 0, 20, 5));
    turns(caller);
    fake_add(&story, fake.conns[caller].sock ? "open" : "shut", 4);
    CHECK(!fake.conns[caller].sock || pair.sides[caller].n_due == 0);
}

static void check_said(const struct frame *frame)
{
    if (direction == MF_INBOUND && frame->len > 600) /* the cutting is the same for both */
        return;
    struct mf_slice all = mf_slice_of(frame->bytes, frame->len);
    say(all, all.len, all.len);
    struct fake_bytes whole = story;
    story = (struct fake_bytes){0};
    clear();
    for (size_t cut = 0; cut <= all.len; cut++) { /* the last is: byte by byte */
        bool bytewise = cut == all.len;
        say(all, bytewise ? 0 : cut, bytewise ? 1 : all.len);
        CHECK(story.len == whole.len && memcmp(story.ptr, whole.ptr, whole.len) == 0);
        clear();
    }
    for (size_t cut = 0; cut < all.len; cut++) {
        int caller = fake_connect() ? fake.n - 1 : -1;
        pair_send(caller, all.ptr, cut);
        fake.conns[caller].eof = true;
        turns(caller);
        CHECK_INT(pair.n_asked, 0); /* half a request is none */
        CHECK(fake.conns[caller].sock == NULL);
        clear();
    }
    free(whole.ptr);
}

static void check_changed(const struct frame *frame)
{
    static const uint8_t values[] = {0x00, 0x48, 0x7f, 0xff};
    uint8_t copy[256];
    if (frame->len > sizeof copy)
        return;
    for (size_t at = 0; at < frame->len; at++)
        for (size_t v = 0; v <= sizeof values; v++) {
            memcpy(copy, frame->bytes, frame->len);
            copy[at] = v < sizeof values ? values[v] : copy[at] ^ 0x80;
            int caller = fake_connect() ? fake.n - 1 : -1;
            pair_send(caller, copy, frame->len);
            turns(caller);
            fake.conns[caller].eof = true;
            turns(caller);
            clear();
        }
}

/* --- from a provider, which a call waits for */

static void reply(const struct frame *frame, size_t first)
{
    static uint8_t request[PAIR_REQUEST];
    uint8_t copy[sizeof frame->bytes];
    int caller = fake_connect() ? fake.n - 1 : -1;
    pair_send(caller, request, pair_request(request, caller, 77, 0xc0, "svc", 0, NULL, NULL));
    turns(caller);
    CHECK_INT(pair.n_asked, 1);
    memcpy(copy, frame->bytes, frame->len);
    bool answers = frame->len >= 16 && !(copy[2] & 0xa0);
    if (answers)
        mf_put64(copy + 4, pair.asked[0].id);
    pair_send(provider, copy, first);
    turns(caller);
    pair_send(provider, copy + first, frame->len - first);
    turns(caller);
    CHECK(pair.sides[caller].n_due == 0 || !answers || expected(frame, "head"));
    fake_add(&story, fake.conns[provider].sock ? "open" : "shut", 4);
}

/* After READONLY or a word that it is closing, or in the midst of a frame, the provider is of no more use. */
static void again(const struct frame *frame)
{
    struct mf_counters counters;
    mf_engine_counters(pair.engine, &counters);
    if (counters.answers_closing || expected(frame, "head") || (frame->bytes[2] & 0xa0) == 0xa0) {
        story.len = 0;
        pair_close();
        restart();
    } else {
        clear();
    }
}

static void check_replied(const struct frame *frame)
{
    reply(frame, frame->len);
    struct fake_bytes whole = story;
    story = (struct fake_bytes){0};
    again(frame);
    for (size_t cut = 0; cut < frame->len; cut++) {
        reply(frame, cut);
        CHECK(story.len == whole.len && memcmp(story.ptr, whole.ptr, whole.len) == 0);
        again(frame);
    }
    free(whole.ptr);
}

/* --- what is wrong on purpose */

static uint8_t valid[2000];
static size_t n_valid;

static void attack(const char *before, size_t n, uint32_t body_len, bool with_head, int asked, bool shut)
{
    uint8_t bytes[5000];
    int caller = fake_connect() ? fake.n - 1 : -1;
    n_valid = pair_request(valid, caller, 5, 0xc0, "svc", 0, NULL, NULL);
    memcpy(bytes, before, n);
    if (with_head) {
        uint8_t head[16] = {0xda, 0xbb, 0xc2};
        mf_put64(head + 4, 4);
        mf_put32(head + 12, body_len);
        memcpy(bytes + n, head, 16);
        n += 16;
    }
    memcpy(bytes + n, valid, n_valid);
    pair_send(caller, bytes, n + n_valid);
    turns(caller);
    CHECK_INT(pair.n_asked, asked);
    if (asked)
        pair_send(provider, bytes, pair_answer(bytes, 0, 20, 0));
    turns(caller);
    CHECK(fake.conns[caller].fin == shut || (shut && !fake.conns[caller].sock));
    clear();
}

static void test_attacks(void)
{
    attack("", 0, 0, false, 1, false);
    attack("garbage", 7, 0, false, 0, true); /* the next magic is not searched for */
    attack("ls\r\n", 4, 0, false, 0, true);
    attack("invoke a.B.m()\r\n", 16, 0, false, 0, true);
    attack("\xda", 1, 0, false, 0, true);
    attack("", 0, 0, true, 1, false);          /* an empty body: answered 40, and the next is served */
    attack("", 0, 0xffffffff, true, 0, true);  /* answered 40 under its own id: pair.h */
    attack("", 0, 0x80000000, true, 0, true);
    attack("", 0, 0x7fffffff, true, 0, false); /* answered, and what follows is its body */
    attack("", 0, 8388609, true, 0, false);
}

static size_t most;

static void *count_alloc(size_t size)
{
    most += size;
    return malloc(size);
}

static void *count_resize(void *ptr, size_t size)
{
    most += size;
    return realloc(ptr, size);
}

/* A head that promises the most there may be, and then nothing: no memory is taken for the promise. */
static void test_promise(void)
{
    uint8_t head[16] = {0xda, 0xbb, 0xc2};
    mf_put32(head + 12, 8388608);
    int caller = fake_connect() ? fake.n - 1 : -1;
    most = 0;
    pair_send(caller, head, sizeof head);
    turns(caller);
    CHECK(most <= 65536 + 4096);
    CHECK(fake.conns[caller].sock != NULL);
    pair_pass(200000000000); /* and it does not wait for ever */
    CHECK(fake.conns[caller].sock == NULL);
}

int main(void)
{
    static const struct mf_mem_ops counted = {count_alloc, count_resize, free};
    mf_mem_use(&counted);
    for (int i = 0; i < 2; i++) {
        direction = i ? MF_INBOUND : MF_OUTBOUND;
        restart();
        for_frames(check_said);
        if (i == 0)
            for_frames(check_replied);
        for_frames(check_changed);
        test_attacks();
        test_promise();
        pair_close();
    }
    free(story.ptr);
    return test_end("proxy/cuts");
}
