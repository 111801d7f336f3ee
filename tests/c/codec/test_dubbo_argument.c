/* dubbo_argument: texts, numbers and words by their place, in both serializations; whatever the bytes, nothing beyond them is read. */
#include "codec/dubbo_argument.h"
#include "codec/hessian.h"
#include "codec/jsonb.h"
#include "frames.h"

static struct mf_pair pairs[64 + MF_DUBBO_LEADING];
static uint8_t texts[4096], to[1024];
static const struct mf_dubbo_room room = {pairs, 64, sizeof texts, texts};
static struct mf_dubbo_request request;
static struct mf_slice text;
static int n_found;

static bool argument(uint8_t serialization, struct mf_slice body, uint32_t index)
{
    return mf_dubbo_argument(serialization, body, &request, index, NULL, to, sizeof to, &text) == 1;
}

/* --- of frames that peers have sent */

static void look_at(const struct frame *frame)
{
    const char *why = NULL;
    uint8_t serialization = frame->bytes[2] & MF_DUBBO_SERIALIZATION;
    if (!expected(frame, "rc") || strcmp(expected(frame, "rc"), "ok") != 0)
        return;
    struct mf_slice whole = guarded(mf_slice_of(frame->bytes + MF_DUBBO_HEAD_LEN, frame->len - MF_DUBBO_HEAD_LEN));
    CHECK_INT(mf_dubbo_parse_request(serialization, whole, NULL, &room, &request, &why), 0);
    for (uint32_t i = 0; i < request.n_arguments + 1; i++) {
        bool found = argument(serialization, whole, i);
        n_found += found;
        CHECK(!found || (!request.generic && i < request.n_arguments));
    }
    if (strcmp(frame->name, "request") == 0 || strcmp(frame->name, "fastjson2") == 0) {
        CHECK(argument(serialization, whole, 0));
        CHECK_STR(text, "bob");
    }
    if (frame->len > 1000)
        return;
    for (size_t at = 0; at < whole.len; at++) { /* what it says is of other bytes: they are looked at all the same */
        uint8_t *byte = (uint8_t *)whole.ptr + at;
        for (int turn = 0; turn < 4; turn++) {
            *byte ^= (const uint8_t[]){0x01, 0x81, 0x90, 0xef}[turn];
            for (uint32_t i = 0; i < request.n_arguments && i < 4; i++)
                argument(serialization, whole, i);
        }
        *byte = frame->bytes[MF_DUBBO_HEAD_LEN + at];
    }
}

/* --- of bodies made here: arguments alone */

static uint8_t bytes[4096];
static size_t len;

static void begin(uint32_t n)
{
    request = (struct mf_dubbo_request){.n_arguments = n};
    len = 0;
}

static void put(const char *raw, size_t n)
{
    memcpy(bytes + len, raw, n);
    len += n;
}
#define PUT(raw) put(raw, sizeof raw - 1)

static bool hessian(uint32_t index)
{
    return argument(MF_DUBBO_HESSIAN2, guarded(mf_slice_of(bytes, len)), index);
}

static bool fastjson2(uint32_t index)
{
    return argument(MF_DUBBO_FASTJSON2, guarded(mf_slice_of(bytes, len)), index);
}

static void hessians(void)
{
    begin(11);
    PUT("\x03" "bob");                              /* a string */
    PUT("\x97");                                    /* 7 */
    PUT("L\xff\xff\xff\xff\xff\xff\xff\xfe");       /* -2, a long */
    PUT("\x5b");                                    /* 0.0: neither */
    PUT("N");                                       /* null */
    PUT("\x7a\x01" "a\x01" "b");                    /* a list */
    PUT("R\x00\x01" "a\x01" "b");                   /* a string in two pieces */
    PUT("\x02\xed\xa0\xbd\xed\xb8\x80");            /* a pair in Java's form */
    PUT("T" "F");
    PUT("\x00");                                    /* an empty string */
    static const char *const want[] = {"bob", "7",  "-2", NULL, "null", NULL,
                                       "ab",  "\xf0\x9f\x98\x80", "true", "false", ""};
    for (uint32_t i = 0; i < 11; i++) {
        CHECK_INT(hessian(i), want[i] != NULL);
        if (want[i])
            CHECK_STR(text, want[i]);
    }
    CHECK(!hessian(11));
    request.generic = true;
    CHECK(!hessian(0));
    request.generic = false;
    request.n_arguments = 12; /* more than there are */
    CHECK(!hessian(11));
    begin(2);
    PUT("N" "\x97"); /* null is no number that comes behind it */
    CHECK(hessian(0));
    CHECK_STR(text, "null");
    begin(1);
    PUT("C\x01" "c\x91\x01" "x\x60\x97" "\x95"); /* an object, and what lies behind it */
    CHECK(!hessian(0));
    request.n_arguments = 2;
    CHECK(hessian(1));
    CHECK_STR(text, "5");
    begin(1);
    PUT("I\x80\x00\x00\x00"); /* the least int */
    CHECK(hessian(0));
    CHECK_STR(text, "-2147483648");
    CHECK_INT(mf_dubbo_argument(MF_DUBBO_HESSIAN2, mf_slice_of(bytes, len), &request, 0, NULL, to, 5, &text), MF_ELIMIT);
    CHECK(!argument(MF_DUBBO_JAVA, mf_slice_of(bytes, len), 0));
    request.arguments_at = 100; /* behind its end */
    CHECK(!hessian(0));
}

static void fastjson2s(void)
{
    begin(9);
    PUT("\0\0\0\x04" "\x4c" "bob");
    PUT("\0\0\0\x01" "\x07");
    PUT("\0\0\0\x01" "\xaf");
    PUT("\0\0\0\x01" "\xb1");
    PUT("\0\0\0\x01" "\xb0");
    PUT("\0\0\0\x02" "\xbd\xf9");         /* a byte */
    PUT("\0\0\0\x03" "\xbc\x01\x2c");     /* a short */
    PUT("\0\0\0\x01" "\xb2");             /* 0.0 */
    PUT("\0\0\0\x05" "\x48\x80\0\0\0");
    static const char *const want[] = {"bob", "7", "null", "true", "false", "-7", "300", NULL, "-2147483648"};
    for (uint32_t i = 0; i < 9; i++) {
        CHECK_INT(fastjson2(i), want[i] != NULL);
        if (want[i])
            CHECK_STR(text, want[i]);
    }
    for (size_t whole = len; len > 0; len--)
        CHECK(len == whole || !fastjson2(8));
    begin(1);
    PUT("\0\0\0\x03" "\x7b\x02" "ab"); /* an encoding that is not read, or a frame that is too short: none */
    CHECK(!fastjson2(0));
    begin(1);
    PUT("\xff\xff\xff\xff" "\x07");
    CHECK(!fastjson2(0));
}

int main(void)
{
    CHECK(for_frames(look_at) > 50);
    CHECK(n_found > 10);
    hessians();
    fastjson2s();
    return test_end("codec/dubbo_argument");
}
