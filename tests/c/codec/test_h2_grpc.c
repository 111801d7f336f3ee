/* h2_grpc: deadlines and messages of gRPC and Triple. */
#include "codec/h2_grpc.h"
#include "test.h"

static int64_t timeout(const char *text)
{
    return mf_h2_grpc_timeout_read(guarded(mf_slice_str(text)));
}

static void test_timeouts_read(void)
{
    const int64_t second = 1000000000, hour = 3600 * second;
    CHECK_INT(timeout("1n"), 1);
    CHECK_INT(timeout("99999999n"), 99999999);
    CHECK_INT(timeout("1u"), 1000);
    CHECK_INT(timeout("20m"), 20000000);
    CHECK_INT(timeout("1S"), second);
    CHECK_INT(timeout("00000001S"), second);
    CHECK_INT(timeout("1M"), 60 * second);
    CHECK_INT(timeout("1H"), hour);
    CHECK_INT(timeout("2562047H"), 2562047 * hour);
    CHECK_INT(timeout("2562048H"), INT64_MAX);
    CHECK_INT(timeout("99999999H"), INT64_MAX);
    CHECK_INT(timeout("0n"), 0);
    CHECK_INT(timeout("0m"), 0);
    static const char *const bad[] = {"100000000m", "", "5", "m", "5x", "5s", "-1m", "+1m", "1.5S", "5 m", "5m ", "1mm", "\xb2m"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK_INT(timeout(bad[i]), -1);
    CHECK_INT(mf_h2_grpc_timeout_read(mf_slice_of(NULL, 0)), -1);
    CHECK_INT(mf_h2_grpc_ms_read(mf_slice_of(NULL, 0)), -1);
    CHECK_INT(mf_h2_grpc_ms_read(MF_SLICE("0")), 0);
    CHECK_INT(mf_h2_grpc_ms_read(MF_SLICE("50")), 50000000);
    CHECK_INT(mf_h2_grpc_ms_read(MF_SLICE("999999999999999999")), INT64_MAX);
    CHECK_INT(mf_h2_grpc_ms_read(MF_SLICE("1000000000000000000")), -1);
    CHECK_INT(mf_h2_grpc_ms_read(MF_SLICE("-1")), -1);
    CHECK_INT(mf_h2_grpc_ms_read(MF_SLICE("5m")), -1);
}

static void put(uint64_t ns, const char *want)
{
    uint8_t to[MF_H2_TIMEOUT_ROOM];
    CHECK_STR(mf_slice_of(to, mf_h2_grpc_timeout_put(to, ns)), want);
}

static void put_ms(uint64_t ns, const char *want)
{
    uint8_t to[MF_H2_MS_ROOM];
    CHECK_STR(mf_slice_of(to, mf_h2_grpc_ms_put(to, ns)), want);
}

/* What is put has the form, is never more than what is left, and loses less than a ten-millionth. */
static void test_timeouts_put(void)
{
    put(0, "1n");
    put(1, "1n");
    put(99999999, "99999999n");
    put(100000000, "100000u");
    put(100000999, "100000u");
    put(UINT64_C(99999999999), "99999999u");
    put(UINT64_C(100000000000), "100000m");
    put(INT64_MAX, "2562047H");
    put(UINT64_MAX, "5124095H");
    uint64_t seed = 1;
    for (int i = 0; i < 20000; i++) {
        uint8_t to[MF_H2_TIMEOUT_ROOM], *last, *fence = fenced(MF_H2_TIMEOUT_ROOM, &last);
        seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
        uint64_t ns = (seed >> 1) >> (i % 63), got;
        (void)fence;
        size_t n = mf_h2_grpc_timeout_put(last - MF_H2_TIMEOUT_ROOM, ns);
        memcpy(to, last - MF_H2_TIMEOUT_ROOM, n);
        got = (uint64_t)mf_h2_grpc_timeout_read(mf_slice_of(to, n));
        CHECK(n <= MF_H2_TIMEOUT_ROOM && got > 0 && (got <= ns || got == 1) && ns - (ns ? got : 0) <= ns / 1000);
    }
    put_ms(0, "1");
    put_ms(999999, "1");
    put_ms(1999999, "1");
    put_ms(2000000, "2");
    put_ms(UINT64_MAX, "18446744073709");
}

static struct mf_slice message(size_t room, struct mf_slice text)
{
    uint8_t *last;
    fenced(room, &last);
    return mf_slice_of(last - room, mf_h2_grpc_message_put(last - room, room, text));
}

static void test_messages(void)
{
    CHECK_STR(message(100, MF_SLICE("")), "");
    CHECK_STR(message(100, MF_SLICE("no route: a.b.C is not in the mesh~")), "no route: a.b.C is not in the mesh~");
    CHECK_STR(message(100, MF_SLICE("/com.x.%zz+\xc3\xbc\"/m%")), "/com.x.%25zz%2B%C3%BC\"/m%25");
    CHECK_STR(message(100, MF_SLICE("a\r\n\t\x7f\x00z")), "a%0D%0A%09%7F%00z");
    CHECK_STR(message(100, MF_SLICE(" a b ")), "%20a b%20");
    CHECK_STR(message(100, MF_SLICE(" ")), "%20");
    CHECK_STR(message(0, MF_SLICE("abc")), "");
    CHECK_STR(message(2, MF_SLICE("abc")), "ab");
    CHECK_STR(message(2, MF_SLICE("%")), "");
    CHECK_STR(message(3, MF_SLICE("ab%")), "ab");
    CHECK_STR(message(6, MF_SLICE("a\xc3\xbc")), "a"); /* not half a character */
    CHECK_STR(message(7, MF_SLICE("a\xc3\xbcz")), "a%C3%BC");
    CHECK_STR(message(4, MF_SLICE("ab  c")), "ab"); /* no space at the end */
    CHECK_STR(message(3, MF_SLICE("  c")), "%20");
    for (size_t room = 0; room < 64; room++) {
        struct mf_slice got = message(room, MF_SLICE("\xe2\x82\xac %+ \xf0\x9f\x98\x80  x\x01y "));
        CHECK(got.len <= room);
        for (size_t i = 0; i < got.len; i++) {
            CHECK(got.ptr[i] >= 0x20 && got.ptr[i] <= 0x7e && got.ptr[i] != '+');
            CHECK(got.ptr[i] != '%' || i + 2 < got.len);
        }
        CHECK(!got.len || (got.ptr[0] != ' ' && got.ptr[got.len - 1] != ' '));
    }
}

int main(void)
{
    test_timeouts_read();
    test_timeouts_put();
    test_messages();
    return test_end("codec/h2_grpc");
}
