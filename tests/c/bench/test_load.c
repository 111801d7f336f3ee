/* The benchmark's own bricks: a histogram or an answer check that errs would make every figure wrong in silence. */
#include "../../../bench/load/bytes.h"
#include "../../../bench/load/hist.h"
#include "../../../bench/load/request.h"
#include "test.h"

static void test_hist(void)
{
    static struct hist h;
    CHECK_INT(hist_quantile(&h, 0.5), 0);
    for (uint64_t v = 1; v <= 100000; v++)
        hist_add(&h, v * 1000);
    CHECK_INT(h.n, 100000);
    CHECK_INT(h.max, 100000000);
    static const double shares[] = {0.001, 0.5, 0.9, 0.99, 0.999, 1.0};
    for (size_t i = 0; i < sizeof shares / sizeof *shares; i++) {
        double exact = shares[i] * 100000000, got = (double)hist_quantile(&h, shares[i]);
        CHECK(got >= exact);
        CHECK(got <= exact * (1 + 1.0 / 127));
    }
    /* Of 1,600 values the 1,599th is p99.9, not the 1,598th. */
    static struct hist few;
    for (uint64_t v = 1; v <= 1600; v++)
        hist_add(&few, v <= 1598 ? 1 : 100);
    CHECK_INT(hist_quantile(&few, 0.999), 100);
    CHECK_INT(hist_quantile(&few, 0.99), 1);
    /* Every power of two and its neighbours: the cell's number grows and its top is not below the value. */
    uint32_t last = 0;
    for (int bit = 0; bit < 64; bit++)
        for (int d = -1; d <= 1; d++) {
            uint64_t v = (UINT64_C(1) << bit) + (uint64_t)d;
            static struct hist one;
            memset(&one, 0, sizeof one);
            CHECK(hist_cell(v) < HIST_CELLS);
            CHECK(bit < 2 || hist_cell(v) >= last);
            last = hist_cell(v);
            hist_add(&one, v);
            CHECK(hist_quantile(&one, 0.5) == v);
        }
    CHECK_INT(hist_cell(UINT64_MAX), HIST_CELLS - 1);
}

static void test_strings(void)
{
    static const size_t sizes[] = {0, 1, 31, 32, 1023, 1024, 0x7fff, 0x8000, 0x8001, 0x10000, 100000};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        size_t len = sizes[i];
        char *text = calloc(1, len + 1);
        uint8_t *out = calloc(1, wire_string_room(len));
        memset(text, 'x', len);
        const uint8_t *end = wire_put_string(out, text, len);
        CHECK((size_t)(end - out) <= wire_string_room(len));
        struct mf_slice whole = guarded(mf_slice_of(out, (size_t)(end - out)));
        CHECK(wire_skip_string(whole.ptr, whole.ptr + whole.len) == whole.ptr + whole.len);
        struct mf_slice cut = guarded(mf_slice_of(out, (size_t)(end - out) - 1));
        CHECK(wire_skip_string(cut.ptr, cut.ptr + cut.len) == NULL);
        free(text);
        free(out);
    }
    static const uint8_t map[] = {'H', 'Z'};
    CHECK(wire_skip_string(map, map + 2) == NULL);
}

/* The frame is one that the fixed facts of the protocol allow, at every length where the encoding changes. */
static void test_request(void)
{
    static const size_t sizes[] = {16, 31, 32, 200, 1023, 1024, 0x8000, 0x8001, 100000};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct request r = {0};
        struct request_options o = {.service = "a.B", .version = "1", .method = "m", .payload = sizes[i],
                                    .attach = {"k=v=w"}, .n_attach = 1, .trace = i % 2 == 0};
        request_init(&r, &o);
        uint8_t *frame = calloc(1, r.len), *answer = calloc(1, r.answer_len);
        uint64_t nonce = request_put(&r, frame, 0x0102030405060708);
        CHECK_INT(wire_get64(frame + 4), 0x0102030405060708);
        CHECK_INT(wire_get32(frame + 12), r.len - WIRE_HEAD);
        const uint8_t *p = frame + WIRE_HEAD, *end = frame + r.len;
        for (int s = 0; s < 5; s++)
            p = wire_skip_string(p, end);
        const uint8_t *after = wire_skip_string(p, end);
        CHECK(after && *after == 'H' && end[-1] == 'Z');
        /* An even number of strings between H and Z. */
        int strings = 0;
        for (p = after + 1; p && *p != 'Z'; p = wire_skip_string(p, end))
            strings++;
        CHECK(p == end - 1);
        CHECK_INT(strings, o.trace ? 14 : 12);

        /* What an echo must answer, and every way of being wrong about it. */
        size_t argument_len;
        const uint8_t *argument = wire_argument(frame + WIRE_HEAD, r.len - WIRE_HEAD, &argument_len);
        answer[0] = 0x91;
        CHECK(argument && argument + argument_len == after);
        CHECK_INT(argument_len, r.answer_len - 1);
        memcpy(answer + 1, argument, argument_len);
        CHECK(request_check(&r, answer, r.answer_len, nonce));
        CHECK(!request_check(&r, answer, r.answer_len - 1, nonce));
        CHECK(!request_check(&r, answer, r.answer_len, nonce + 1));
        for (size_t at = 0; at < r.answer_len; at += at < 64 || at + 64 > r.answer_len ? 1 : r.answer_len / 64 + 1) {
            answer[at] ^= 1;
            CHECK(!request_check(&r, answer, r.answer_len, nonce));
            answer[at] ^= 1;
        }
        /* No two requests share a nonce, nor a trace id. */
        uint8_t *other = calloc(1, r.len);
        CHECK(request_put(&r, other, 1) != nonce);
        CHECK(!o.trace || memcmp(frame + r.trace_at + 3, other + r.trace_at + 3, 32));
        free(frame);
        free(answer);
        free(other);
        free(r.frame);
        free(r.answer);
    }
}

/* A buffer that is filled and emptied in any way gives back what was put in, in order. */
static void test_bytes(void)
{
    struct bytes b = {0};
    uint64_t random = 1, in = 0, out = 0;
    for (int turn = 0; turn < 20000; turn++) {
        size_t room = 1 + (random = mix(random)) % 300;
        uint8_t *to = bytes_reserve(&b, room);
        for (size_t i = 0; i < room; i++)
            to[i] = (uint8_t)in++;
        b.end += room;
        size_t len = (random = mix(random)) % (bytes_held(&b) + 1);
        bool right = true;
        for (size_t i = 0; i < len; i++)
            right &= b.base[b.begin + i] == (uint8_t)out++;
        CHECK(right);
        bytes_consume(&b, len);
        CHECK_INT(bytes_held(&b), in - out);
    }
    bytes_trim(&b, 0);
    CHECK((bytes_held(&b) == 0) == (b.base == NULL));
    bytes_consume(&b, bytes_held(&b));
    bytes_trim(&b, b.cap);
    bytes_trim(&b, 0);
    CHECK(!b.base && !b.cap);
}

static void test_frames(void)
{
    uint8_t event[WIRE_HEAD + 3] = {0}, answer[WIRE_HEAD + 3];
    size_t body = 0;
    wire_put_head(event, WIRE_REQUEST | WIRE_TWO_WAY | WIRE_EVENT | 12, 0, 77, 3);
    memcpy(event + WIRE_HEAD, "abc", 3);
    for (size_t held = 0; held <= sizeof event; held++)
        CHECK_INT(wire_frame(guarded(mf_slice_of(event, held)).ptr, held, 3, &body), held == sizeof event);
    CHECK_INT(body, 3);
    CHECK_INT(wire_frame(event, sizeof event, 2, &body), -1);
    CHECK_INT(wire_answer_event(answer, event, 3), sizeof answer);
    CHECK_INT(answer[2], WIRE_EVENT | 12);
    CHECK_INT(answer[3], WIRE_OK);
    CHECK_INT(wire_get64(answer + 4), 77);
    CHECK(!memcmp(answer + 12, event + 12, 7));
    event[1] ^= 1;
    CHECK_INT(wire_frame(event, sizeof event, 3, &body), -1);
}

/* A body of another serialization is the argument alone, both ways. */
static void test_opaque(void)
{
    struct request r = {0};
    struct request_options o = {.service = "a.B", .version = "1", .method = "m", .payload = 300, .serialization = 12};
    request_init(&r, &o);
    uint8_t *frame = calloc(1, r.len);
    uint64_t nonce = request_put(&r, frame, 7);
    CHECK_INT(r.len, WIRE_HEAD + 300);
    CHECK_INT(frame[2], WIRE_REQUEST | WIRE_TWO_WAY | 12);
    CHECK_INT(wire_get32(frame + 12), 300);
    CHECK(request_check(&r, frame + WIRE_HEAD, 300, nonce));
    CHECK(!request_check(&r, frame + WIRE_HEAD, 300, nonce + 1));
    frame[WIRE_HEAD + 299] ^= 1;
    CHECK(!request_check(&r, frame + WIRE_HEAD, 300, nonce));
    free(frame);
    free(r.frame);
    free(r.answer);
}

int main(void)
{
    test_hist();
    test_bytes();
    test_frames();
    test_opaque();
    test_strings();
    test_request();
    return test_end("bench/load");
}
