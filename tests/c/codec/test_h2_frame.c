/* h2_frame: each rule of RFC 9113 section 6 that one frame shows, and each frame put and read again. */
#include "codec/h2_frame.h"
#include "test.h"

static struct mf_h2_head head;

static int read_head(uint32_t len, uint8_t type, uint8_t flags, uint32_t stream)
{
    uint8_t bytes[MF_H2_HEAD_LEN];
    struct mf_h2_head put = {len, stream, type, flags};
    CHECK_INT(mf_h2_put_head(bytes, &put), 9);
    for (size_t n = 0; n < sizeof(bytes); n++)
        CHECK_INT(mf_h2_frame_head(guarded(mf_slice_of(bytes, n)), MF_H2_FRAME_LEAST, &head), MF_EMORE);
    int rc = mf_h2_frame_head(guarded(mf_slice_of(bytes, sizeof(bytes))), MF_H2_FRAME_LEAST, &head);
    CHECK(head.len == len && head.type == type && head.flags == flags && head.stream == (stream & 0x7fffffff));
    return rc;
}

static void test_preface(void)
{
    struct mf_slice whole = MF_SLICE(MF_H2_PREFACE "more");
    for (size_t n = 0; n <= whole.len; n++)
        CHECK_INT(mf_h2_frame_preface(guarded(mf_slice_of(whole.ptr, n))), n < 24 ? MF_EMORE : 24);
    CHECK_INT(mf_h2_frame_preface(MF_SLICE("PRI * HTTP/2.0\r\n\r\nXX")), MF_EH2_PREFACE);
    CHECK_INT(mf_h2_frame_preface(MF_SLICE("G")), MF_EH2_PREFACE);
    CHECK_INT(mf_h2_frame_code(MF_EH2_PREFACE), MF_H2_PROTOCOL_ERROR);
}

/* Which types are on streams, and how long they are. */
static void test_heads(void)
{
    static const struct {
        uint8_t type;
        bool zero, one; /* may be on stream 0, on another one */
        uint32_t least, most;
    } types[] = {
        {MF_H2_DATA, 0, 1, 0, 16384},     {MF_H2_HEADERS, 0, 1, 0, 16384},      {MF_H2_PRIORITY, 0, 1, 0, 16384},
        {MF_H2_RST_STREAM, 0, 1, 4, 4},   {MF_H2_SETTINGS, 1, 0, 0, 16380},     {MF_H2_PUSH_PROMISE, 0, 1, 4, 16384},
        {MF_H2_PING, 1, 0, 8, 8},         {MF_H2_GOAWAY, 1, 0, 8, 16384},       {MF_H2_WINDOW_UPDATE, 1, 1, 4, 4},
        {MF_H2_CONTINUATION, 0, 1, 0, 16384}, {0xfe, 1, 1, 0, 16384},
    };
    for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++) {
        uint32_t good = types[i].one ? 5 : 0;
        CHECK_INT(read_head(types[i].least, types[i].type, 0, 0), types[i].zero ? 9 : MF_EH2_STREAM);
        CHECK_INT(read_head(types[i].least, types[i].type, 0, 0x80000000), types[i].zero ? 9 : MF_EH2_STREAM);
        CHECK_INT(read_head(types[i].least, types[i].type, 0, 0xffffffff), types[i].one ? 9 : MF_EH2_STREAM);
        CHECK_INT(read_head(types[i].most, types[i].type, 0, good), 9);
        if (types[i].least)
            CHECK_INT(read_head(types[i].least - 1, types[i].type, 0, good), MF_EH2_LENGTH);
        if (types[i].most < 16384)
            CHECK_INT(read_head(types[i].most + 1, types[i].type, 0, good), MF_EH2_LENGTH);
        CHECK_INT(read_head(16385, types[i].type, 0, good), MF_EH2_FRAME_SIZE);
    }
    CHECK_INT(read_head(6, MF_H2_SETTINGS, MF_H2_ACK, 0), MF_EH2_LENGTH);
    CHECK_INT(read_head(0, MF_H2_SETTINGS, MF_H2_ACK, 0), 9);
    CHECK_INT(read_head(0, MF_H2_DATA, MF_H2_PADDED, 1), MF_EH2_LENGTH);
    CHECK_INT(read_head(4, MF_H2_HEADERS, MF_H2_PRIORITIZED, 1), MF_EH2_LENGTH);
    CHECK_INT(read_head(5, MF_H2_HEADERS, MF_H2_PRIORITIZED | MF_H2_PADDED, 1), MF_EH2_LENGTH);
    CHECK_INT(read_head(4, MF_H2_PUSH_PROMISE, MF_H2_PADDED, 1), MF_EH2_LENGTH);
    CHECK_INT(read_head(0, MF_H2_CONTINUATION, MF_H2_PADDED, 1), 9); /* no flag of it */
    CHECK_INT(mf_h2_frame_code(MF_EH2_LENGTH), MF_H2_FRAME_SIZE_ERROR);
    CHECK(!mf_h2_frame_of_stream(MF_EH2_LENGTH) && !mf_h2_frame_of_stream(MF_EH2_STREAM));
}

static void test_data(void)
{
    struct mf_h2_data out;
    CHECK_INT(read_head(5, MF_H2_DATA, 0, 1), 9);
    CHECK_INT(mf_h2_frame_data(&head, MF_SLICE("\3abcd"), &out), 0);
    CHECK_STR(out.data, "\3abcd");
    head.flags = MF_H2_PADDED;
    CHECK_INT(mf_h2_frame_data(&head, guarded(MF_SLICE("\3abcd")), &out), 0);
    CHECK_STR(out.data, "a");
    CHECK_INT(mf_h2_frame_data(&head, guarded(MF_SLICE("\4abcd")), &out), 0);
    CHECK_INT(out.data.len, 0);
    CHECK_INT(mf_h2_frame_data(&head, guarded(MF_SLICE("\5abcd")), &out), MF_EH2_PADDING);
    CHECK_INT(mf_h2_frame_data(&head, guarded(MF_SLICE("\xff")), &out), MF_EH2_PADDING);
    CHECK(!mf_h2_frame_of_stream(MF_EH2_PADDING));
}

static void test_headers(void)
{
    struct mf_h2_headers out;
    struct mf_slice payload = MF_SLICE("\2\x80\0\0\3\xf0xyPP");
    CHECK_INT(read_head((uint32_t)payload.len, MF_H2_HEADERS, MF_H2_PADDED | MF_H2_PRIORITIZED, 1), 9);
    CHECK_INT(mf_h2_frame_headers(&head, guarded(payload), &out), 0);
    CHECK_STR(out.block, "xy");
    CHECK(out.priority.exclusive && out.priority.depends_on == 3 && out.priority.weight == 0xf0);
    head.stream = 3;
    CHECK_INT(mf_h2_frame_headers(&head, payload, &out), MF_EH2_PRIORITY_SELF);
    CHECK_STR(out.block, "xy"); /* to be decoded all the same */
    CHECK(mf_h2_frame_of_stream(MF_EH2_PRIORITY_SELF));
    head.flags = MF_H2_PADDED;
    CHECK_INT(mf_h2_frame_headers(&head, payload, &out), 0);
    CHECK_INT(out.block.len, 7);
    CHECK_INT(out.priority.depends_on, 0);
    CHECK_INT(mf_h2_frame_headers(&head, MF_SLICE("\1"), &out), MF_EH2_PADDING);
    head.flags = MF_H2_PADDED | MF_H2_PRIORITIZED;
    CHECK_INT(mf_h2_frame_headers(&head, MF_SLICE("\2\0\0\0\5\1x"), &out), MF_EH2_PADDING);
}

static void test_priority(void)
{
    struct mf_h2_priority out;
    CHECK_INT(read_head(5, MF_H2_PRIORITY, 0, 7), 9);
    CHECK_INT(mf_h2_frame_priority(&head, guarded(MF_SLICE("\0\0\0\5\1")), &out), 0);
    CHECK(out.depends_on == 5 && out.weight == 1 && !out.exclusive);
    CHECK_INT(mf_h2_frame_priority(&head, MF_SLICE("\x80\0\0\7\1"), &out), MF_EH2_PRIORITY_SELF);
    CHECK_INT(mf_h2_frame_priority(&head, MF_SLICE("\0\0\0\5"), &out), MF_EH2_PRIORITY_LENGTH);
    CHECK_INT(mf_h2_frame_code(MF_EH2_PRIORITY_LENGTH), MF_H2_FRAME_SIZE_ERROR);
    CHECK(mf_h2_frame_of_stream(MF_EH2_PRIORITY_LENGTH));
}

static void test_settings(void)
{
    size_t at = 0;
    uint16_t id;
    uint32_t value;
    struct mf_slice payload = MF_SLICE("\0\4\0\0\0\0\0\4\x7f\xff\xff\xff\xab\xcd\xff\xff\xff\xff\0\2\0\0\0\2");
    CHECK_INT(mf_h2_frame_settings(guarded(payload), &at, &id, &value), 1);
    CHECK(id == MF_H2_INITIAL_WINDOW_SIZE && value == 0);
    CHECK_INT(mf_h2_frame_settings(payload, &at, &id, &value), 1);
    CHECK(id == MF_H2_INITIAL_WINDOW_SIZE && value == MF_H2_WINDOW_MOST);
    CHECK_INT(mf_h2_frame_settings(payload, &at, &id, &value), 1);
    CHECK(id == 0xabcd && value == UINT32_MAX); /* unknown: any value */
    CHECK_INT(mf_h2_frame_settings(payload, &at, &id, &value), MF_EH2_SETTING);
    CHECK_INT(mf_h2_frame_settings(payload, &at, &id, &value), 0);
    at = 0;
    CHECK_INT(mf_h2_frame_settings(mf_slice_of(NULL, 0), &at, &id, &value), 0);
    CHECK_INT(mf_h2_frame_setting(MF_H2_INITIAL_WINDOW_SIZE, 0x80000000), MF_EH2_SETTING_WINDOW);
    CHECK_INT(mf_h2_frame_code(MF_EH2_SETTING_WINDOW), MF_H2_FLOW_CONTROL_ERROR);
    CHECK_INT(mf_h2_frame_setting(MF_H2_MAX_FRAME_SIZE, 16383), MF_EH2_SETTING);
    CHECK_INT(mf_h2_frame_setting(MF_H2_MAX_FRAME_SIZE, 16384), 0);
    CHECK_INT(mf_h2_frame_setting(MF_H2_MAX_FRAME_SIZE, 16777215), 0);
    CHECK_INT(mf_h2_frame_setting(MF_H2_MAX_FRAME_SIZE, 16777216), MF_EH2_SETTING);
    CHECK_INT(mf_h2_frame_setting(MF_H2_ENABLE_PUSH, 1), 0);
    CHECK_INT(mf_h2_frame_setting(MF_H2_MAX_CONCURRENT_STREAMS, 0), 0);
    CHECK_INT(mf_h2_frame_setting(MF_H2_HEADER_TABLE_SIZE, UINT32_MAX), 0);
}

static void test_push(void)
{
    struct mf_h2_push out;
    CHECK_INT(read_head(7, MF_H2_PUSH_PROMISE, MF_H2_PADDED, 1), 9);
    CHECK_INT(mf_h2_frame_push(&head, guarded(MF_SLICE("\1\x80\0\0\2xP")), &out), 0);
    CHECK_STR(out.block, "x");
    CHECK_INT(out.promised, 2);
    CHECK_INT(mf_h2_frame_push(&head, MF_SLICE("\1\0\0\0\3xP"), &out), MF_EH2_STREAM);
    CHECK_INT(mf_h2_frame_push(&head, MF_SLICE("\1\0\0\0\0xP"), &out), MF_EH2_STREAM);
    CHECK_INT(mf_h2_frame_push(&head, MF_SLICE("\3\0\0\0\2xP"), &out), MF_EH2_PADDING);
}

static void test_windows(void)
{
    uint32_t increment;
    head = (struct mf_h2_head){4, 0, MF_H2_WINDOW_UPDATE, 0};
    CHECK_INT(mf_h2_frame_window(&head, MF_SLICE("\x80\0\0\1"), &increment), 0);
    CHECK_INT(increment, 1);
    CHECK_INT(mf_h2_frame_window(&head, MF_SLICE("\x80\0\0\0"), &increment), MF_EH2_CREDIT);
    head.stream = 1;
    CHECK_INT(mf_h2_frame_window(&head, MF_SLICE("\0\0\0\0"), &increment), MF_EH2_CREDIT_STREAM);
    CHECK(mf_h2_frame_of_stream(MF_EH2_CREDIT_STREAM) && !mf_h2_frame_of_stream(MF_EH2_CREDIT));
    CHECK_INT(mf_h2_frame_code(MF_EH2_CREDIT_STREAM), MF_H2_PROTOCOL_ERROR);
}

static struct mf_slice again(const uint8_t *to, size_t n, uint8_t type, uint8_t flags, uint32_t stream)
{
    CHECK_INT(mf_h2_frame_head(guarded(mf_slice_of(to, n)), MF_H2_FRAME_LEAST, &head), 9);
    CHECK(head.type == type && head.flags == flags && head.stream == stream);
    return mf_slice_of(to + 9, n - 9);
}

static void test_put(void)
{
    uint8_t to[64];
    struct mf_slice payload;
    struct mf_h2_headers headers;
    struct mf_h2_priority say = {9, 200, true}, said;
    struct mf_h2_goaway goaway;
    struct mf_h2_push push;
    uint32_t value;
    size_t n = mf_h2_put_rst_stream(to, 3, MF_H2_CANCEL);
    payload = again(to, n, MF_H2_RST_STREAM, 0, 3);
    CHECK_INT(mf_h2_frame_rst_stream(payload), MF_H2_CANCEL);
    payload = again(to, mf_h2_put_ping(to, 0x0102030405060708, true), MF_H2_PING, MF_H2_ACK, 0);
    CHECK_INT(mf_h2_frame_ping(payload), 0x0102030405060708);
    n = mf_h2_put_goaway(to, 0x7fffffff, MF_H2_ENHANCE_YOUR_CALM, 3);
    memcpy(to + n, "why", 3);
    mf_h2_frame_goaway(again(to, n + 3, MF_H2_GOAWAY, 0, 0), &goaway);
    CHECK_INT(head.len, 11);
    CHECK(goaway.last == 0x7fffffff && goaway.code == MF_H2_ENHANCE_YOUR_CALM);
    CHECK_STR(goaway.debug, "why");
    payload = again(to, mf_h2_put_window(to, 5, 70000), MF_H2_WINDOW_UPDATE, 0, 5);
    CHECK_INT(mf_h2_frame_window(&head, payload, &value), 0);
    CHECK_INT(value, 70000);
    payload = again(to, mf_h2_put_priority(to, 5, &say), MF_H2_PRIORITY, 0, 5);
    CHECK_INT(mf_h2_frame_priority(&head, payload, &said), 0);
    CHECK(said.depends_on == 9 && said.weight == 200 && said.exclusive);
    n = mf_h2_put_headers(to, &(struct mf_h2_head){2, 5, MF_H2_HEADERS, MF_H2_END_STREAM}, &say);
    memcpy(to + n, "xy", 2);
    payload = again(to, n + 2, MF_H2_HEADERS, MF_H2_END_STREAM | MF_H2_PRIORITIZED, 5);
    CHECK_INT(mf_h2_frame_headers(&head, payload, &headers), 0);
    CHECK_STR(headers.block, "xy");
    CHECK_INT(headers.priority.depends_on, 9);
    n = mf_h2_put_padded(to, &(struct mf_h2_head){2, 5, MF_H2_HEADERS, MF_H2_END_HEADERS}, 3);
    memcpy(to + n, "xy\0\0\0", 5);
    payload = again(to, n + 5, MF_H2_HEADERS, MF_H2_END_HEADERS | MF_H2_PADDED, 5);
    CHECK_INT(head.len, payload.len);
    CHECK_INT(mf_h2_frame_headers(&head, payload, &headers), 0);
    CHECK_STR(headers.block, "xy");
    n = mf_h2_put_push(to, 1, MF_H2_END_HEADERS, 2, 1);
    to[n] = 'x';
    payload = again(to, n + 1, MF_H2_PUSH_PROMISE, MF_H2_END_HEADERS, 1);
    CHECK_INT(mf_h2_frame_push(&head, payload, &push), 0);
    CHECK_STR(push.block, "x");
    struct mf_h2_pair pairs[2] = {{MF_H2_ENABLE_PUSH, 0}, {MF_H2_MAX_CONCURRENT_STREAMS, 100}};
    payload = again(to, mf_h2_put_settings(to, pairs, 2), MF_H2_SETTINGS, 0, 0);
    size_t at = 0;
    uint16_t id;
    for (int i = 0; i < 2; i++) {
        CHECK_INT(mf_h2_frame_settings(payload, &at, &id, &value), 1);
        CHECK(id == pairs[i].id && value == pairs[i].value);
    }
    CHECK_INT(mf_h2_frame_settings(payload, &at, &id, &value), 0);
    again(to, mf_h2_put_settings_ack(to), MF_H2_SETTINGS, MF_H2_ACK, 0);
}

static void test_names(void)
{
    CHECK_STR(mf_slice_str(mf_h2_frame_type_name(MF_H2_CONTINUATION)), "CONTINUATION");
    CHECK_STR(mf_slice_str(mf_h2_frame_type_name(10)), "unknown");
    CHECK_STR(mf_slice_str(mf_h2_frame_code_name(MF_H2_HTTP_1_1_REQUIRED)), "HTTP_1_1_REQUIRED");
    CHECK_STR(mf_slice_str(mf_h2_frame_code_name(14)), "unknown");
    CHECK_INT(mf_h2_frame_code(MF_EHPACK_SHORT), MF_H2_COMPRESSION_ERROR);
    CHECK_INT(mf_h2_frame_code(MF_EHPACK_NO_UPDATE), MF_H2_COMPRESSION_ERROR);
    CHECK_INT(mf_h2_frame_code(MF_EHPACK_WORK), MF_H2_ENHANCE_YOUR_CALM);
    CHECK(!mf_h2_frame_of_stream(MF_EHPACK_SHORT));
    CHECK_INT(mf_h2_frame_code(MF_EH2_CONTENT), MF_H2_PROTOCOL_ERROR);
    CHECK_INT(mf_h2_frame_code(MF_ELIMIT), MF_H2_ENHANCE_YOUR_CALM);
}

int main(void)
{
    test_preface();
    test_heads();
    test_data();
    test_headers();
    test_priority();
    test_settings();
    test_push();
    test_windows();
    test_put();
    test_names();
    return test_end("codec/h2_frame");
}
