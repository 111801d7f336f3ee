/* protocol/h2_read, h2_block, h2_core: what a caller must not do, RFC 9113 sections 3 to 6 and 8: each is told by the
 * right code, ends what it should and nothing else. */
#include "protocol/h2_echo.h"
#include "protocol/h2_say.h"

static struct wire wire;

static void settings(uint16_t id, uint32_t value)
{
    uint8_t bytes[MF_H2_SETTING_LEN];
    mf_put16(bytes, id);
    mf_put32(bytes + 2, value);
    say_frame(&wire, MF_H2_SETTINGS, 0, 0, bytes, sizeof bytes);
}

static void raw_head(uint32_t stream, uint8_t flags, const char *block, size_t len)
{
    say_frame(&wire, MF_H2_HEADERS, flags, stream, block, len);
}

/* --- of the connection */

static void data_on_0(void) { say_frame(&wire, MF_H2_DATA, 0, 0, "x", 1); }
static void head_on_0(void) { raw_head(0, MF_H2_END_HEADERS, "\x82", 1); }
static void priority_on_0(void) { say_frame(&wire, MF_H2_PRIORITY, 0, 0, "\0\0\0\0\0", 5); }
static void reset_on_0(void) { say_frame(&wire, MF_H2_RST_STREAM, 0, 0, "\0\0\0\0", 4); }
static void settings_on_1(void) { say_frame(&wire, MF_H2_SETTINGS, 0, 1, NULL, 0); }
static void ping_on_1(void) { say_frame(&wire, MF_H2_PING, 0, 1, "12345678", 8); }
static void goaway_on_1(void) { say_frame(&wire, MF_H2_GOAWAY, 0, 1, "\0\0\0\0\0\0\0\0", 8); }
static void continuation_on_0(void) { say_frame(&wire, MF_H2_CONTINUATION, 0, 0, "x", 1); }
static void data_on_idle(void) { say_data(&wire, 1, 1, false); }
static void reset_on_idle(void) { say_rst(&wire, 1, MF_H2_CANCEL); }
static void window_on_idle(void) { say_window(&wire, 1, 1); }
static void even(void) { say_head(&wire, 2, MF_H2_END_STREAM, GET); }
static void even_data(void) { say_data(&wire, 2, 1, false); }
static void back(void)
{
    say_head(&wire, 5, MF_H2_END_STREAM, GET);
    say_head(&wire, 3, MF_H2_END_STREAM, GET);
}
static void again(void)
{
    say_head(&wire, 1, MF_H2_END_STREAM, GET);
    settle();
    say_head(&wire, 1, MF_H2_END_STREAM, GET);
}
static void padded(void) { say_frame(&wire, MF_H2_DATA, MF_H2_PADDED, 1, "\x05xxxx", 5); }
static void data_padded(void)
{
    say_head(&wire, 1, 0, POST);
    padded();
}
static void head_padded(void) { raw_head(1, MF_H2_END_HEADERS | MF_H2_PADDED, "\x02\x82", 2); }
static void interrupted(void)
{
    raw_head(1, 0, "\x82", 1);
    say_ping(&wire, 1, false);
}
static void other_continuation(void)
{
    raw_head(1, 0, "\x82", 1);
    say_frame(&wire, MF_H2_CONTINUATION, MF_H2_END_HEADERS, 3, "\x84", 1);
}
static void data_within(void)
{
    raw_head(1, 0, "\x82", 1);
    say_data(&wire, 1, 5, false);
}
static void no_block(void) { say_frame(&wire, MF_H2_CONTINUATION, MF_H2_END_HEADERS, 1, "\x82", 1); }
static void unknown_within(void)
{
    raw_head(1, 0, "\x82", 1);
    say_frame(&wire, 99, 0, 1, "x", 1);
}
static void settings_ack_full(void) { say_frame(&wire, MF_H2_SETTINGS, MF_H2_ACK, 0, "\0\2\0\0\0\0", 6); }
static void settings_cut(void) { say_frame(&wire, MF_H2_SETTINGS, 0, 0, "\0\2\0\0", 4); }
static void push_2(void) { settings(MF_H2_ENABLE_PUSH, 2); }
static void window_large(void) { settings(MF_H2_INITIAL_WINDOW_SIZE, 0x80000000u); }
static void frame_small(void) { settings(MF_H2_MAX_FRAME_SIZE, 16383); }
static void frame_large(void) { settings(MF_H2_MAX_FRAME_SIZE, 16777216); }
static void window_overflow(void)
{
    say_head(&wire, 1, 0, POST);
    say_window(&wire, 1, 1);
    settings(MF_H2_INITIAL_WINDOW_SIZE, 0x7fffffff);
}
static void ping_short(void) { say_frame(&wire, MF_H2_PING, 0, 0, "1234567", 7); }
static void reset_short(void)
{
    say_head(&wire, 1, 0, POST);
    say_frame(&wire, MF_H2_RST_STREAM, 0, 1, "\0\0\0", 3);
}
static void window_short(void) { say_frame(&wire, MF_H2_WINDOW_UPDATE, 0, 0, "\0\0\0", 3); }
static void goaway_short(void) { say_frame(&wire, MF_H2_GOAWAY, 0, 0, "\0\0\0\0", 4); }
static void credit_0(void) { say_window(&wire, 0, 0); }
static void credit_overflow(void)
{
    say_window(&wire, 0, 0x7fffffff);
}
static void bad_index(void) { raw_head(1, MF_H2_END_HEADERS, "\xff\x80", 2); }
static void bad_huffman(void) { raw_head(1, MF_H2_END_HEADERS, "\x40\x81\xff\x81\xff", 5); }
static void table_over(void) { raw_head(1, MF_H2_END_HEADERS, "\x3f\xe2\x1f\x82", 4); }
static void bad_on_closed(void)
{
    say_head(&wire, 1, MF_H2_END_STREAM, GET);
    settle();
    say_frame(&wire, MF_H2_HEADERS, MF_H2_END_HEADERS, 1, "\xff\x80", 2);
}
static void push(void) { say_frame(&wire, MF_H2_PUSH_PROMISE, MF_H2_END_HEADERS, 1, "\0\0\0\2\x82", 5); }
static void too_long(void)
{
    uint8_t head[MF_H2_HEAD_LEN];
    mf_h2_put_head(head, &(struct mf_h2_head){16385, 1, MF_H2_HEADERS, 0});
    say(&wire, head, sizeof head); /* the head is enough */
}

static const struct of_connection {
    const char *name;
    void (*act)(void);
    uint32_t code;
} of_connection[] = {
#define ONE(name, code) {#name, name, MF_H2_##code}
    ONE(data_on_0, PROTOCOL_ERROR), ONE(head_on_0, PROTOCOL_ERROR), ONE(priority_on_0, PROTOCOL_ERROR),
    ONE(reset_on_0, PROTOCOL_ERROR), ONE(settings_on_1, PROTOCOL_ERROR), ONE(ping_on_1, PROTOCOL_ERROR),
    ONE(goaway_on_1, PROTOCOL_ERROR), ONE(continuation_on_0, PROTOCOL_ERROR), ONE(data_on_idle, PROTOCOL_ERROR),
    ONE(reset_on_idle, PROTOCOL_ERROR), ONE(window_on_idle, PROTOCOL_ERROR), ONE(even, PROTOCOL_ERROR),
    ONE(even_data, PROTOCOL_ERROR), ONE(back, PROTOCOL_ERROR), ONE(again, STREAM_CLOSED),
    ONE(data_padded, PROTOCOL_ERROR), ONE(head_padded, PROTOCOL_ERROR), ONE(interrupted, PROTOCOL_ERROR),
    ONE(other_continuation, PROTOCOL_ERROR), ONE(data_within, PROTOCOL_ERROR), ONE(no_block, PROTOCOL_ERROR),
    ONE(unknown_within, PROTOCOL_ERROR), ONE(settings_ack_full, FRAME_SIZE_ERROR),
    ONE(settings_cut, FRAME_SIZE_ERROR), ONE(push_2, PROTOCOL_ERROR), ONE(window_large, FLOW_CONTROL_ERROR),
    ONE(frame_small, PROTOCOL_ERROR), ONE(frame_large, PROTOCOL_ERROR), ONE(window_overflow, FLOW_CONTROL_ERROR),
    ONE(ping_short, FRAME_SIZE_ERROR), ONE(reset_short, FRAME_SIZE_ERROR), ONE(window_short, FRAME_SIZE_ERROR),
    ONE(goaway_short, FRAME_SIZE_ERROR), ONE(credit_0, PROTOCOL_ERROR), ONE(credit_overflow, FLOW_CONTROL_ERROR),
    ONE(bad_index, COMPRESSION_ERROR), ONE(bad_huffman, COMPRESSION_ERROR), ONE(table_over, COMPRESSION_ERROR),
    ONE(bad_on_closed, STREAM_CLOSED), ONE(push, PROTOCOL_ERROR), ONE(too_long, FRAME_SIZE_ERROR),
};

static void test_connection_errors(void)
{
    for (size_t i = 0; i < sizeof of_connection / sizeof *of_connection; i++) {
        world_open();
        wire = world_accept(sizeof(struct echo_conn), echo_begin);
        say_hello(&wire, NULL, 0);
        hear(&wire);
        int before = test_failures;
        of_connection[i].act();
        struct told told = hear(&wire);
        CHECK_INT(told.goaway, of_connection[i].code);
        CHECK_INT(told.goaways, 1);
        CHECK(told.closed);
        if (test_failures > before)
            fprintf(stderr, "  ... in %s\n", of_connection[i].name);
        world_close();
    }
}

/* What is no HTTP/2 from the beginning on. */
static void test_beginning(void)
{
    static const struct {
        const char *bytes;
        size_t len;
    } wrong[] = {
        {"GET / HTTP/1.1\r\n\r\n", 18},
        {"PRI * HTTP/2.0\r\n\r\nXX", 20},
        {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\1\0\0\0\0", 33},
        {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\10\6\0\0\0\0\00012345678", 41},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        for (size_t cut = 1; cut <= wrong[i].len; cut += wrong[i].len - 1) {
            world_open();
            wire = world_accept(sizeof(struct echo_conn), echo_begin);
            for (size_t at = 0; at < wrong[i].len; at += cut) {
                say(&wire, wrong[i].bytes + at, wrong[i].len - at < cut ? wrong[i].len - at : cut);
                settle();
            }
            struct told told = hear(&wire);
            CHECK_INT(told.goaway, MF_H2_PROTOCOL_ERROR);
            CHECK(told.closed);
            CHECK_INT(COUNTED(bad_connections), 1);
            world_close();
        }
    }
}

/* --- of a stream: everything else goes on */

static void window_0(void)
{
    say_head(&wire, 1, 0, POST);
    say_window(&wire, 1, 0);
}
static void stream_overflow(void)
{
    say_head(&wire, 1, 0, POST);
    say_window(&wire, 1, 0x7fffffff);
}
static void data_after_end(void)
{
    say_window(&wire, 0, 1 << 20); /* its own is what it waits for */
    say_head(&wire, 1, MF_H2_END_STREAM, BYTES(100000));
    settle();
    say_data(&wire, 1, 1, false);
}
static void head_after_end(void)
{
    say_window(&wire, 0, 1 << 20); /* its own is what it waits for */
    say_head(&wire, 1, MF_H2_END_STREAM, BYTES(100000));
    settle();
    say_head(&wire, 1, MF_H2_END_STREAM, GET);
}
static void data_after_all(void)
{
    say_head(&wire, 1, MF_H2_END_STREAM, GET);
    settle();
    say_data(&wire, 1, 1, false);
}
static void data_after_reset(void)
{
    say_head(&wire, 1, 0, POST);
    say_rst(&wire, 1, MF_H2_CANCEL);
    say_data(&wire, 1, 1, false);
}
static void priority_short(void)
{
    say_head(&wire, 1, 0, POST);
    say_frame(&wire, MF_H2_PRIORITY, 0, 1, "\0\0\0\0", 4);
}
static void priority_self(void)
{
    say_head(&wire, 1, 0, POST);
    say_frame(&wire, MF_H2_PRIORITY, 0, 1, "\0\0\0\1\0", 5);
}
static void head_self(void)
{
    raw_head(1, MF_H2_END_HEADERS | MF_H2_PRIORITIZED, "\0\0\0\1\0\x82\x86\x84\x41\1a", 11);
}
static void upper(void) { say_head(&wire, 1, MF_H2_END_STREAM, GET "Bad: x\n"); }
static void no_path(void) { say_head(&wire, 1, MF_H2_END_STREAM, ":method: GET\n:scheme: http\n"); }
static void second_head(void)
{
    say_head(&wire, 1, 0, POST);
    say_head(&wire, 1, 0, "a: b\n");
}
static void pseudo_trailer(void)
{
    say_head(&wire, 1, 0, POST);
    say_head(&wire, 1, MF_H2_END_STREAM, ":path: /\n");
}
static void length_short(void) { say_head(&wire, 1, MF_H2_END_STREAM, POST "content-length: 5\n"); }
static void length_long(void)
{
    say_head(&wire, 1, 0, POST "content-length: 5\n");
    say_data(&wire, 1, 6, false);
}
static void length_trailers(void)
{
    say_head(&wire, 1, 0, POST "content-length: 5\n");
    say_data(&wire, 1, 4, false);
    say_head(&wire, 1, MF_H2_END_STREAM, "a: b\n");
}
static void tunnel(void) { say_head(&wire, 1, 0, ":method: CONNECT\n:authority: a\n"); }
static void over_window(void)
{
    say_settings(&wire, &(struct mf_h2_pair){MF_H2_INITIAL_WINDOW_SIZE, 0}, 1); /* nothing can be echoed */
    say_head(&wire, 1, 0, POST);
    say_data(&wire, 1, 8192, false);
    say_data(&wire, 1, 1, false);
    say_settings(&wire, &(struct mf_h2_pair){MF_H2_INITIAL_WINDOW_SIZE, 65535}, 1);
}

static const struct of_connection of_stream[] = {
    ONE(window_0, PROTOCOL_ERROR), ONE(stream_overflow, FLOW_CONTROL_ERROR), ONE(data_after_end, STREAM_CLOSED),
    ONE(head_after_end, STREAM_CLOSED), ONE(data_after_all, STREAM_CLOSED), ONE(data_after_reset, STREAM_CLOSED),
    ONE(priority_short, FRAME_SIZE_ERROR), ONE(priority_self, PROTOCOL_ERROR), ONE(head_self, PROTOCOL_ERROR),
    ONE(upper, PROTOCOL_ERROR), ONE(no_path, PROTOCOL_ERROR), ONE(second_head, PROTOCOL_ERROR),
    ONE(pseudo_trailer, PROTOCOL_ERROR), ONE(length_short, PROTOCOL_ERROR), ONE(length_long, PROTOCOL_ERROR),
    ONE(length_trailers, PROTOCOL_ERROR), ONE(tunnel, CONNECT_ERROR), ONE(over_window, FLOW_CONTROL_ERROR),
};

static void test_stream_errors(void)
{
    for (size_t i = 0; i < sizeof of_stream / sizeof *of_stream; i++) {
        world_open();
        wire = world_accept(sizeof(struct echo_conn), echo_begin);
        say_hello(&wire, NULL, 0);
        hear(&wire);
        int before = test_failures;
        of_stream[i].act();
        struct told told = hear(&wire);
        CHECK_INT(told.reset_code, of_stream[i].code);
        CHECK_INT(told.reset, 1);
        CHECK_INT(told.resets, 1);
        CHECK_INT(told.goaways, 0);
        /* What was already on its way is no further fault, where the stream had not been ended. */
        bool open = of_stream[i].act != data_after_end && of_stream[i].act != head_after_end &&
                    of_stream[i].act != data_after_all && of_stream[i].act != data_after_reset &&
                    of_stream[i].act != upper && of_stream[i].act != no_path && of_stream[i].act != length_short &&
                    of_stream[i].act != pseudo_trailer && of_stream[i].act != length_trailers;
        if (open) {
            say_data(&wire, 1, 1, false);
            say_head(&wire, 1, MF_H2_END_STREAM, "x: y\n");
            say_rst(&wire, 1, MF_H2_CANCEL);
            told = hear(&wire);
            CHECK_INT(told.n, 0);
        }
        say_head(&wire, 7, MF_H2_END_STREAM, GET);
        told = hear(&wire);
        CHECK_INT(told.first_head, 7);
        CHECK_INT(told.content, 6);
        CHECK_INT(wire.h2->n_streams, 0);
        const struct echo_conn *echo = (const struct echo_conn *)(const void *)wire.h2;
        CHECK_INT(echo->heads, echo->ends);
        if (test_failures > before)
            fprintf(stderr, "  ... in %s\n", of_stream[i].name);
        world_close();
    }
}

static void narrow(struct mf_limits *limits)
{
    limits->h2_connection_window = 65535;
    limits->h2_first_window = 1 << 20;
    limits->h2_frame = 1 << 20;
}

/* More than the connection's window, when no stream's is exceeded. */
static void test_connection_window(void)
{
    world_open_with(narrow);
    wire = world_accept(sizeof(struct echo_conn), echo_begin);
    say_hello(&wire, &(struct mf_h2_pair){MF_H2_INITIAL_WINDOW_SIZE, 0}, 1);
    say_head(&wire, 1, 0, POST);
    say_data(&wire, 1, 65535, false);
    struct told told = hear(&wire);
    CHECK_INT(told.goaways, 0);
    CHECK_INT(told.credit_0, 0); /* all of it waits here, as the caller takes nothing */
    say_data(&wire, 1, 1, false);
    told = hear(&wire);
    CHECK_INT(told.goaway, MF_H2_FLOW_CONTROL_ERROR);
    CHECK_INT(COUNTED(limit_h2_connection_window), 1);
    world_close();
}

/* Settings that nobody acknowledges end the connection, but not early, and an acknowledgement too many is none. */
static void test_acknowledgement(void)
{
    world_open();
    wire = world_accept(sizeof(struct echo_conn), echo_begin);
    say(&wire, MF_H2_PREFACE, MF_H2_PREFACE_LEN);
    say_settings(&wire, NULL, 0);
    say_head(&wire, 1, MF_H2_END_STREAM, GET);
    CHECK_INT(hear(&wire).content, 6);
    pass(9900);
    CHECK_INT(hear(&wire).goaways, 0);
    pass(200);
    CHECK_INT(hear(&wire).goaway, MF_H2_SETTINGS_TIMEOUT);
    CHECK_INT(COUNTED(limit_settings_timeout), 1);
    CHECK_INT(mf_h2_frame_code(MF_EH2_SILENT), MF_H2_SETTINGS_TIMEOUT);
    world_close();

    world_open();
    wire = world_accept(sizeof(struct echo_conn), echo_begin);
    say_hello(&wire, NULL, 0);
    say_ack(&wire);
    say_ack(&wire);
    pass(20000);
    say_head(&wire, 1, MF_H2_END_STREAM, GET);
    struct told told = hear(&wire);
    CHECK_INT(told.content, 6);
    CHECK_INT(told.goaways, 0);
    world_close();
}

/* Unknown types, flags and settings, and priorities, change nothing. */
static void test_ignored(void)
{
    world_open();
    wire = world_accept(sizeof(struct echo_conn), echo_begin);
    say_hello(&wire, NULL, 0);
    hear(&wire);
    settings(0x4242, 7);
    say_frame(&wire, 0x42, 0xff, 0, "abc", 3);
    say_frame(&wire, 0x42, 0xff, 77, "abc", 3);
    say_frame(&wire, MF_H2_PRIORITY, 0, 9, "\0\0\0\1\0", 5);
    say_frame(&wire, MF_H2_PING, 0xfe, 0, "12345678", 8);
    say_head(&wire, 1, MF_H2_END_STREAM | 0x40, GET);
    struct told told = hear(&wire);
    CHECK_INT(told.content, 6);
    CHECK_INT(told.pongs, 1);
    CHECK_INT(told.acks, 1);
    CHECK_INT(told.goaways + told.resets, 0);
    CHECK_INT(mf_h2_frame_code(MF_EH2_CLOSED), MF_H2_STREAM_CLOSED);
    CHECK_INT(mf_h2_frame_code(MF_EH2_ORDER), MF_H2_PROTOCOL_ERROR);
    CHECK_INT(mf_h2_frame_code(MF_EH2_WINDOW), MF_H2_FLOW_CONTROL_ERROR);
    world_close();
}

int main(void)
{
    test_beginning();
    test_connection_errors();
    test_stream_errors();
    test_connection_window();
    test_acknowledgement();
    test_ignored();
    return test_end("test_h2_errors");
}
