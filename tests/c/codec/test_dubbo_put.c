/* dubbo_put: the frames that a proxy writes itself. */
#include "codec/dubbo.h"
#include "codec/hessian.h"
#include "codec/javaser.h"
#include "codec/jsonb.h"
#include "test.h"

static uint8_t to[MF_DUBBO_ERROR_ROOM];

/* The text of an error as the consumer of this serialization reads it; false when it could not. */
static bool read_error(uint8_t serialization, struct mf_slice body, struct mf_slice *text)
{
    struct mf_hessian hessian;
    struct mf_jsonb jsonb;
    struct mf_javaser java;
    switch (serialization) {
    case MF_DUBBO_HESSIAN2:
        mf_hessian_init(&hessian, body, 1, 1);
        return mf_hessian_string(&hessian, text) == 1 && hessian.at == body.len;
    case MF_DUBBO_FASTJSON2:
        mf_jsonb_init(&jsonb, mf_slice_of(body.ptr + 4, body.len - 4), 1);
        return mf_get32(body.ptr) == body.len - 4 && mf_jsonb_string(&jsonb, text) == 1 && jsonb.at == body.len - 4;
    case MF_DUBBO_FASTJSON:
        *text = mf_slice_of(body.ptr + 1, body.len - 3);
        return body.ptr[0] == '"' && memcmp(body.ptr + body.len - 2, "\"\n", 2) == 0;
    }
    bool counted = serialization != MF_DUBBO_NATIVE_JAVA;
    return mf_javaser_init(&java, body) && mf_javaser_utf(&java, counted, text) && java.at == body.len;
}

static void check_error(uint8_t asked, uint8_t answered, const char *text, const char *want)
{
    uint8_t *exact = malloc(MF_DUBBO_ERROR_ROOM); /* the sanitizer watches its end */
    size_t n = mf_dubbo_put_error(exact, 0x0102030405060708, asked, MF_DUBBO_BAD_REQUEST, text);
    struct mf_dubbo_head head;
    struct mf_slice got;
    CHECK(n <= MF_DUBBO_ERROR_ROOM);
    CHECK_INT(mf_dubbo_parse_head(mf_slice_of(exact, n), 4096, &head), MF_DUBBO_HEAD_LEN);
    CHECK_INT(head.id, 0x0102030405060708);
    CHECK_INT(head.status, 40);
    CHECK_INT(head.flags, answered);
    CHECK_INT(head.serialization, answered);
    CHECK_INT(head.body_len, n - MF_DUBBO_HEAD_LEN);
    CHECK(read_error(answered, mf_slice_of(exact + MF_DUBBO_HEAD_LEN, head.body_len), &got));
    CHECK_STR(got, want);
    free(exact);
}

static void test_errors(void)
{
    static const uint8_t same[] = {2, 3, 4, 6, 7, 23};
    char longest[1400], wide[1400] = "";
    memset(longest, 'x', 1200);
    longest[1200] = 0;
    for (int i = 0; i < 400; i++)
        strcat(wide, "\xe4\xb8\x8a");
    for (size_t i = 0; i < sizeof(same); i++) {
        check_error(same[i], same[i], "no route", "no route");
        check_error(same[i], same[i], "", "");
        check_error(same[i], same[i], NULL, "");
        check_error(same[i], same[i], "\xe4\xb8\x8a\xc3\xa9", "\xe4\xb8\x8a\xc3\xa9");
        check_error(same[i], same[i], "a\"b\\c\nd\x7f", "a'b/c d?");
        check_error(same[i], same[i], "\xf0\x9f\x98\x80\xff\xe4\xb8", "???????");
        char want[MF_DUBBO_TEXT + 1];
        snprintf(want, sizeof(want), "%.512s", longest);
        check_error(same[i], same[i], longest, want);
        snprintf(want, sizeof(want), "%.510s", wide); /* 170 whole characters: a 171st would be cut */
        check_error(same[i], same[i], wide, want);
    }
    check_error(22, 2, "no route", "no route");
    check_error(0, 2, "no route", "no route");
    /* As the facts have it, byte for byte. */
    size_t n = mf_dubbo_put_error(to, 1, 2, 60, "no route");
    CHECK(mf_slice_eq(mf_slice_of(to, n), MF_SLICE("\xda\xbb\002\x3c\0\0\0\0\0\0\0\001\0\0\0\x09\x08no route")));
}

static void test_events(void)
{
    size_t n = mf_dubbo_put_heartbeat(to, 3);
    CHECK(mf_slice_eq(mf_slice_of(to, n), MF_SLICE("\xda\xbb\xe2\0\0\0\0\0\0\0\0\003\0\0\0\001N")));
    n = mf_dubbo_put_readonly(to);
    CHECK(mf_slice_eq(mf_slice_of(to, n), MF_SLICE("\xda\xbb\xa2\0\0\0\0\0\0\0\0\0\0\0\0\002\001R")));
    CHECK_INT(n, MF_DUBBO_EVENT_ROOM);
    n = mf_dubbo_put_writeable(to);
    CHECK(mf_slice_eq(mf_slice_of(to, n), MF_SLICE("\xda\xbb\xa2\0\0\0\0\0\0\0\0\0\0\0\0\002\001W")));
    struct mf_dubbo_head asked = {.id = 9, .body_len = 6, .flags = 0xf7, .serialization = 23};
    struct mf_dubbo_head answer = mf_dubbo_event_answer(&asked);
    mf_dubbo_put_head(to, &answer); /* any event that wants an answer: its own body comes behind */
    CHECK(mf_slice_eq(mf_slice_of(to, 16), MF_SLICE("\xda\xbb\x37\x14\0\0\0\0\0\0\0\x09\0\0\0\6")));
    CHECK_INT(mf_dubbo_event_of(2, guarded(MF_SLICE("\001"))), MF_DUBBO_EVENT_OTHER);
    CHECK_INT(mf_dubbo_event_of(6, guarded(MF_SLICE("\n\n"))), MF_DUBBO_EVENT_OTHER);
    CHECK_INT(mf_dubbo_event_of(6, guarded(MF_SLICE("\""))), MF_DUBBO_EVENT_OTHER);
}

static void test_names(void)
{
    CHECK(strcmp(mf_dubbo_serialization_name(2), "hessian2") == 0);
    CHECK(strcmp(mf_dubbo_serialization_name(23), "fastjson2") == 0);
    CHECK(strcmp(mf_dubbo_serialization_name(5), "unknown") == 0);
    CHECK(strcmp(mf_dubbo_serialization_name(255), "unknown") == 0);
    CHECK(strcmp(mf_dubbo_status_name(MF_DUBBO_OK), "ok") == 0);
    CHECK(strcmp(mf_dubbo_status_name(MF_DUBBO_OVERLOAD), "overload") == 0);
    CHECK(strcmp(mf_dubbo_status_name(1), "other") == 0);
}

int main(void)
{
    test_errors();
    test_events();
    test_names();
    return test_end("codec/dubbo_put");
}
