/* h2_read, h2_core, h2_ask, h2_down: settings of either peer that change while calls run, recalled or not; that come late, or
 * are never acknowledged; and lists of fields of just the size that a peer takes, or one byte more. */
#define TOLD 256
#include "h2_mesh.h"

enum { LIST = 8192, EMPTIED = 4 };
#define T_ONLY_8 "<:status=200 content-type=application/grpc grpc-status=8 "
#define T_OK_BUT "<:status=200 content-type=application/grpc x-long=v"

/* All of a SETTINGS frame, in this order. */
static void say_settings(struct peer *peer, const struct mf_h2_pair *pairs, uint32_t n)
{
    uint8_t frame[MF_H2_HEAD_LEN + 8 * MF_H2_SETTING_LEN];
    fake_send(peer->conn, frame, mf_h2_put_settings(frame, pairs, n));
}

/* The next block that is there to be heard begins with a size update to 0 and then one to what is used. */
static bool empties_its_table(const struct peer *peer)
{
    struct mf_h2_head head;
    struct mf_slice rest = mf_slice_of(peer->conn->out.ptr + peer->at, peer->conn->out.len - peer->at);
    while (mf_h2_frame_head(rest, MF_H2_FRAME_MOST, &head) > 0 && head.type != MF_H2_HEADERS)
        rest = mf_slice_of(rest.ptr + MF_H2_HEAD_LEN + head.len, rest.len - MF_H2_HEAD_LEN - head.len);
    return rest.len > MF_H2_HEAD_LEN + EMPTIED && memcmp(rest.ptr + MF_H2_HEAD_LEN, "\x20\x3f\xe1\x1f", EMPTIED) == 0;
}

static const struct mf_h2_pair turns[] = {{MF_H2_INITIAL_WINDOW_SIZE, 0},
                                          {MF_H2_HEADER_TABLE_SIZE, 0},
                                          {MF_H2_HEADER_TABLE_SIZE, 4096},
                                          {MF_H2_INITIAL_WINDOW_SIZE, 0x7fffffff}};

/* Several values of one setting count in order, for the provider's end and the caller's, while equal calls are recalled. One
 * stream that has more than the others ends that connection, and no other. */
static void test_in_order(bool at_provider, bool one_more)
{
    mesh_open(MF_OUTBOUND, 1, NULL);
    struct peer *a = caller(), *c = caller();
    uint32_t id = 1, up = 1;
    say_head(a, id, CALL, false);
    struct peer *b = provider(), *turned = at_provider ? b : a;
    for (; id < 11; id += 2, up += 2) { /* equal, and then open and unused */
        if (id > 1)
            say_head(a, id, CALL, false);
        settle();
        say_head(b, up, OK, false);
        CHECK_TOLD(a, id, T_OK);
        CHECK_TOLD(b, up, T_CALL);
    }
    say_head(c, 1, CALL, false); /* a neighbour on the same connection to the provider */
    CHECK_TOLD(b, up, T_CALL);
    up += 2;
    if (one_more)
        say_window(turned, 5, 1);
    say_settings(turned, turns, 4);
    settle();
    hear(turned);
    if (one_more) {
        CHECK_INT(turned->goaway_code, MF_H2_FLOW_CONTROL_ERROR);
        for (uint32_t k = 1; k < id && at_provider; k += 2)
            CHECK_TOLD(a, k, "!2");
        for (uint32_t k = 1; k < up - 2 && !at_provider; k += 2)
            CHECK_TOLD(b, k, "!8");
        if (at_provider)
            CHECK(strstr(told(c, 1), "grpc-status=14 "));
        else
            say_head(b, up - 2, OK "\ngrpc-status: 0", true);
        CHECK(strstr((settle(), told(c, 1)), at_provider ? "" : "grpc-status=0"));
        mesh_close();
        return;
    }
    CHECK_INT(turned->acks, 2);
    CHECK_INT(turned->goaways, 0);
    for (int i = 0; i < 4; i++, id += 2, up += 2) { /* with the table that was emptied, and recalled again */
        say_head(a, id, CALL, false);
        settle();
        if (at_provider)
            CHECK_INT(empties_its_table(b), i == 0);
        CHECK_TOLD(b, up, T_CALL);
        say_head(b, up, OK, false);
        settle();
        if (!at_provider)
            CHECK_INT(empties_its_table(a), i == 0);
        CHECK_TOLD(a, id, T_OK);
    }
    for (uint32_t k = 1; k < id; k += 2) { /* more than a window of old; each way */
        say_data(at_provider ? a : b, k, "there is room", true);
        settle();
    }
    for (uint32_t k = 1; k < 11; k += 2)
        CHECK_TOLD(at_provider ? b : a, k, at_provider ? "there is room|" : "there is room|!0");
    mesh_close();
}

/* A provider that wants no table, and then one again, each time while nothing happens and the tables are kept packed. */
static void test_quiet_tables(void)
{
    mesh_open(MF_OUTBOUND, 1, NULL);
    struct peer *a = caller();
    uint32_t id = 1;
    say_head(a, id, CALL "\nx-kept: in the table", true);
    struct peer *b = provider();
    for (int turn = 0; turn < 4; turn++) {
        for (int i = 0; i < 4; i++, id += 2) {
            size_t before = b->conn->out.len;
            if (id > 1)
                say_head(a, id, CALL "\nx-kept: in the table", true);
            settle();
            const uint8_t *block = b->conn->out.ptr + before + MF_H2_HEAD_LEN; /* its first bytes say what the table is */
            if (turn)
                CHECK_INT(turn % 2 ? block[0] == 0x20 : memcmp(block, "\x3f\xe1\x1f", 3) == 0, i == 0);
            CHECK(strstr(told(b, id), " x-kept=in the table>|"));
            say_head(b, id, OK "\ngrpc-status: 0", true);
            CHECK(strstr((settle(), told(a, id)), "grpc-status=0"));
        }
        pass(2500);
        say_settings(b, &(struct mf_h2_pair){MF_H2_HEADER_TABLE_SIZE, turn % 2 ? 4096 : 0}, 1);
        settle();
    }
    CHECK_INT((hear(b), b->goaways), 0);
    mesh_close();
}

/* A provider that never acknowledges is served and serves, by what the standard allows without that, for settingsTimeout. */
static void test_no_ack(void)
{
    uint8_t frame[MF_H2_HEAD_LEN];
    mesh_open(MF_OUTBOUND, 1, NULL);
    CHECK(mesh.limits.settings_timeout >= 10000);
    struct peer *a = caller_with((const uint32_t[]){MF_H2_INITIAL_WINDOW_SIZE, 1000, 0});
    say_head(a, 1, CALL, true);
    struct peer *b = dialled();
    fake_send(b->conn, frame, mf_h2_put_settings(frame, NULL, 0));
    settle();
    say_head(b, 1, OK, false);
    say_much(b, 1, 65535, false); /* frames of 16,384, and a window of 65,535 */
    settle();
    CHECK_INT((hear(a), told_of(a, 1)->content), 1000);
    CHECK_INT((hear(b), b->goaways), 0);
    say_window(a, 0, 1 << 20);
    say_window(a, 1, 1 << 20);
    settle();
    CHECK_INT((hear(a), told_of(a, 1)->content), 65535);
    pass(9900);
    say_head(a, 3, CALL, true);
    settle();
    say_head(b, 3, OK "\ngrpc-status: 0", true);
    CHECK(strstr((settle(), told(a, 3)), "grpc-status=0"));
    CHECK_INT((hear(b), b->goaways), 0);
    pass(200);
    CHECK_INT((hear(b), b->goaway_code), MF_H2_SETTINGS_TIMEOUT);
    CHECK_INT(COUNTED(limit_settings_timeout), 1);
    CHECK_TOLD(a, 1, T_OK "!2");
    say_head(a, 5, CALL, true); /* another connection, whose provider acknowledges twice */
    struct peer *c = provider();
    say_frame(c, MF_H2_SETTINGS, MF_H2_ACK, 0, NULL, 0);
    settle();
    pass(20000);
    say_head(c, 1, OK "\ngrpc-status: 0", true);
    CHECK(strstr((settle(), told(a, 5)), "grpc-status=0"));
    mesh_close();
}

/* 300 streams come with the preface: as many as may be open are served, the others refused, and nobody is to blame. */
static void test_streams_at_once(void)
{
    enum { ALL = 300 };
    mesh_open(MF_OUTBOUND, 1, NULL);
    struct peer *good = caller();
    say_head(good, 1, CALL, true);
    struct peer *b = provider();
    struct fake_conn *conn = fake_connect();
    struct peer *a = join(conn);
    say_hello(a, NULL);
    a->conn->in.len -= MF_H2_HEAD_LEN; /* not acknowledged yet */
    for (uint32_t i = 0; i < ALL; i++)
        say_head(a, 2 * i + 1, CALL, true);
    say_frame(a, MF_H2_SETTINGS, MF_H2_ACK, 0, NULL, 0);
    settle();
    hear(b);
    CHECK_INT(b->n_told, 1 + (int)mesh.limits.h2_streams);
    for (int i = 0; i < b->n_told; i++)
        say_head(b, b->told[i].id, OK "\ngrpc-status: 0", true);
    settle();
    uint32_t answered = 0, refused = 0, frames = 0;
    struct mf_h2_head head;
    for (size_t at = 0; at < conn->out.len; at += MF_H2_HEAD_LEN + head.len, frames++) {
        if (mf_h2_frame_head(mf_slice_of(conn->out.ptr + at, conn->out.len - at), MF_H2_FRAME_MOST, &head) < 0)
            break;
        answered += head.type == MF_H2_HEADERS;
        refused += head.type == MF_H2_RST_STREAM && mf_get32(conn->out.ptr + at + MF_H2_HEAD_LEN) == MF_H2_REFUSED_STREAM;
        CHECK(head.type != MF_H2_GOAWAY);
    }
    CHECK_INT(answered, mesh.limits.h2_streams);
    CHECK_INT(refused, ALL - answered);
    CHECK(strstr((settle(), told(good, 1)), "grpc-status=0"));
    a->at = conn->out.len;
    mesh_close();
}

/* --- lists of fields, as RFC 9113 6.5.2 counts them */

static size_t count(const char *lines)
{
    size_t n = 0;
    for (const char *end; *lines; lines = *end ? end + 1 : end) {
        end = strchrnul(lines, '\n');
        n += (size_t)(end - lines) - 2 + 32;
    }
    return n;
}

/* Fields that count `size`: `lines` and a long one. */
static const char *sized(const char *lines, size_t size)
{
    static char text[2][LIST + 1000];
    static int next;
    char *to = text[next++ % 2];
    int n = sprintf(to, "%s\nx-long: ", lines);
    size_t left = size - count(to);
    memset(to + n, 'v', left);
    to[n + (int)left] = 0;
    return to;
}

/* A provider takes 8,192. What is stamped counts, too: here dev=dev1, for a trace id that is known. */
static void test_requests(bool plain, bool stamped)
{
    bool evicted;
    const char *lines = plain ? PLAIN "\nx-request-id: r1" : CALL "\nx-request-id: r1";
    size_t stamp = stamped ? 3 + 4 + 32 : 0;
    mesh_open(MF_OUTBOUND, 2, NULL);
    struct mf_trace_entry entry = {MF_SLICE("r1"), MF_SLICE("dev1"), (uint32_t)mf_label_intern(mesh.table, MF_SLICE("dev")), 1, false};
    if (stamped)
        CHECK_INT(mf_trace_put(mesh.trace, &entry, fake.now, &evicted), MF_TRACE_STORED);
    struct peer *a = caller(), *c = caller();
    say_head(c, 1, stamped ? CALL "\ndev: dev1" : CALL, true);
    struct peer *b = provider_with((const uint32_t[]){MF_H2_MAX_HEADER_LIST_SIZE, LIST, 0});
    CHECK_INT(port_of(b), stamped ? 2 : 1);
    hear(b);
    uint32_t up = 1, id = 1;
    for (int i = 0; i < 4; i++, id += 2) { /* once read, and then recalled */
        say_head(a, id, sized(lines, LIST - stamp), true);
        const char *text = told(b, up += 2);
        text = *text ? text : (settle(), told(b, up));
        CHECK(told_of(b, up)->ended);
        say_head(b, up, OK "\ngrpc-status: 0", true);
        CHECK(strstr((settle(), told(a, id)), "grpc-status=0"));
    }
    CHECK_INT(COUNTED(limit_peer_header_list), 0);
    for (int i = 0; i < 4; i++, id += 2) {
        say_head(a, id, sized(lines, LIST - stamp + 1), true);
        const char *text = (settle(), told(a, id));
        CHECK_STARTS(text, plain ? "<:status=431 " : T_ONLY_8);
        if (plain)
            CHECK(strstr(text, "provider's MAX_HEADER_LIST_SIZE"));
        else
            CHECK(strstr(text, "grpc-message=more header fields than the provider's MAX_HEADER_LIST_SIZE allows"));
    }
    CHECK_INT(COUNTED(limit_peer_header_list), 4);
    say_head(a, id, CALL, true);
    if (!stamped)
        CHECK_TOLD(b, up + 2, T_CALL "|");
    say_head(b, 1, OK "\ngrpc-status: 0", true);
    CHECK(strstr((settle(), told(c, 1)), "grpc-status=0"));
    CHECK_INT((hear(b), b->goaways) + (hear(a), a->goaways), 0);
    mesh_close();
}

/* A caller takes 8,192 of an answer, and of its trailers. */
static void test_answers(void)
{
    mesh_open(MF_OUTBOUND, 1, NULL);
    struct peer *a = caller_with((const uint32_t[]){MF_H2_MAX_HEADER_LIST_SIZE, LIST, 0}), *c = caller(), *b = NULL;
    uint32_t id = 1;
    for (size_t more = 0; more < 14; more += 13) { /* 8,205 is too much */
        for (int i = 0; i < 4; i++, id += 2) {
            say_head(a, id, CALL, true);
            b = b ? b : provider();
            CHECK_TOLD(b, id, T_CALL "|");
            say_head(b, id, sized(OK, LIST + more), false);
            settle();
            say_head(b, id, DONE, true);
            const char *text = (settle(), told(a, id));
            CHECK_STARTS(text, more ? T_ONLY_8 : T_OK_BUT);
            if (more)
                CHECK(strstr(text, "grpc-message=meshfast: the answer has more header fields than the caller's "
                                   "MAX_HEADER_LIST_SIZE allows"));
        }
        CHECK_INT(COUNTED(limit_peer_header_list), more ? 4 : 0);
    }
    b->foreign = true;
    for (size_t more = 0; more < 2; more++, id += 2) { /* its end alone */
        say_head(a, id, CALL, true);
        settle();
        say_head(b, id, OK, false);
        say_head(b, id, sized(DONE, LIST + more), true);
        CHECK_STARTS((settle(), told(a, id)), more ? T_OK "!11" : T_OK "<grpc-status=0 x-long=v");
    }
    say_head(c, 1, CALL, true); /* whose list may be as long as it likes */
    settle();
    say_head(b, id, sized(OK, LIST + 500), false);
    say_head(b, id, DONE, true);
    CHECK_STARTS((settle(), told(c, 1)), T_OK_BUT);
    CHECK_INT((hear(b), b->goaways) + (hear(a), a->goaways), 0);
    mesh_close();
}

int main(void)
{
    for (int i = 0; i < 4; i++)
        test_in_order(i & 1, i & 2);
    test_quiet_tables();
    test_no_ack();
    test_streams_at_once();
    for (int i = 0; i < 4; i++)
        test_requests(i & 1, i & 2);
    test_answers();
    return test_end("h2_settings");
}
