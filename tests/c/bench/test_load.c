/* The benchmark's own bricks: a histogram or an answer check that errs would make every figure wrong in silence. */
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
        const uint8_t *argument = frame + WIRE_HEAD;
        for (int s = 0; s < 5; s++)
            argument = wire_skip_string(argument, end);
        answer[0] = 0x91;
        CHECK_INT(after - argument, r.answer_len - 1);
        memcpy(answer + 1, argument, (size_t)(after - argument));
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
    test_opaque();
    test_strings();
    test_request();
    return test_end("bench/load");
}
