/* h2_down, h2_up, h2_read, h2_block: what a caller and a provider say, cut at every byte, and byte by byte: to nobody does it
 * make a difference. What is read ends at a page that must not be touched (fake.h). */
#include "h2_mesh.h"

/* What one of them says, all of it; not sent yet. */
struct tape {
    struct fake_conn conn;
    struct peer peer;
};

static struct peer *tape_begin(struct tape *tape, bool up)
{
    free(tape->conn.in.ptr);
    *tape = (struct tape){.conn.up = up};
    tape->peer.conn = &tape->conn;
    say_hello(&tape->peer, NULL);
    return &tape->peer;
}

static void say_in_pieces(struct peer *peer, uint32_t id, const char *lines, size_t first)
{
    uint8_t block[2000];
    size_t len = block_of(block, lines);
    say_frame(peer, MF_H2_HEADERS, 0, id, block, first);
    say_frame(peer, MF_H2_CONTINUATION, 0, id, block + first, 3);
    say_frame(peer, MF_H2_CONTINUATION, MF_H2_END_HEADERS, id, block + first + 3, len - first - 3);
}

static void caller_says(struct peer *a)
{
    const uint8_t padded[] = "\5padded\0\0\0\0\0";
    say_head(a, 1, CALL "\nx-request-id: r1", false);
    say_data(a, 1, "question", true);
    say_head(a, 3, CALL "\ngrpc-timeout: 10S", false);
    say_frame(a, MF_H2_DATA, MF_H2_PADDED, 3, padded, sizeof padded - 1);
    say_head(a, 5, ":method: HEAD\n:scheme: http\n:path: /\n:authority: svc", true);
    say_ping(a, 7, false);
    say_data(a, 3, " two", false);
    say_in_pieces(a, 7, CALL "\ndev: dev0", 20);
    say_head(a, 3, "x-sum: 2", true);
    for (uint32_t id = 9; id < 15; id += 2)
        say_head(a, id, CALL, true);
    say_head(a, 15, CALL, false);
    say_rst(a, 15, MF_H2_CANCEL);
    say_head(a, 17, ":method: GET\n:scheme: http\n:path: /\n:authority: nowhere", true);
    say_frame(a, MF_H2_PRIORITY, 0, 19, "\0\0\0\0\1", 5);
    say_frame(a, 0x77, 0, 0, "unknown", 7);
    say_head(a, 19, CALL, false);
    say_window(a, 0, 1000);
    say_data(a, 19, "", true);
    say_head(a, 21, ":method: GET\n:scheme: http\n:path: /a/../b\n:authority: svc\nBad: 1", true);
}

static void provider_says(struct peer *b)
{
    say_head(b, 1, ":status: 103", false);
    say_head(b, 1, OK, false);
    say_data(b, 1, "answer", false);
    say_head(b, 1, DONE, true);
    say_ping(b, 8, false);
    say_head(b, 5, ":status: 200\ncontent-length: 100", true);
    say_head(b, 3, OK "\ngrpc-status: 3\ngrpc-message: no", true);
    say_in_pieces(b, 7, OK "\nx-more: much", 9);
    say_data(b, 7, "half", false);
    say_rst(b, 7, MF_H2_INTERNAL_ERROR);
    for (uint32_t id = 9; id < 15; id += 2) {
        say_head(b, id, OK, false);
        say_data(b, id, "same", false);
        say_head(b, id, DONE, true);
    }
}

/* What everybody was told, stream by stream. */
static struct fake_bytes story;

static void tell(struct peer *peer)
{
    char line[64];
    hear(peer);
    for (uint32_t id = 1; id < 30; id += 2) {
        struct told *of = told_of(peer, id);
        fake_add(&story, line, (size_t)snprintf(line, sizeof line, "\n%u: ", id));
        fake_add(&story, of->text.ptr, of->text.len);
    }
}

/* Up to `cut`, and then `step` at a time. */
static void play(struct peer *peer, const struct tape *tape, size_t cut, size_t step)
{
    const struct fake_bytes *in = &tape->conn.in;
    for (size_t at = 0, n; at < in->len; at += n) {
        n = at < cut && cut < in->len ? cut : step < in->len - at ? step : in->len - at;
        fake_send(peer->conn, in->ptr + at, n);
        settle();
    }
}

static struct tape from_caller, from_provider;

/* `warm`: the connection to the provider is there before. */
static void run(bool warm, size_t cut_caller, size_t cut_provider, size_t step)
{
    mesh_open(MF_OUTBOUND, 1, NULL);
    struct peer *b = NULL;
    story.len = 0;
    if (warm) {
        struct peer *first = caller();
        say_head(first, 1, CALL, true);
        b = provider();
        say_rst(first, 1, MF_H2_CANCEL);
        settle();
        say_rst(b, 1, MF_H2_CANCEL);
        settle();
    }
    struct fake_conn *conn = fake_connect();
    if (!conn)
        BROKEN("nobody listens");
    struct peer *a = join(conn);
    play(a, &from_caller, cut_caller, step);
    if (!warm)
        b = dialled();
    play(b, &from_provider, cut_provider, step);
    tell(a);
    tell(b);
    mesh_close();
}

static void expect(const struct fake_bytes *want)
{
    CHECK(story.len == want->len && memcmp(story.ptr, want->ptr, want->len) == 0);
    if (story.len != want->len || memcmp(story.ptr, want->ptr, want->len) != 0)
        BROKEN("%.*s\nis not%.*s", (int)story.len, (const char *)story.ptr, (int)want->len, (const char *)want->ptr);
}

static void test_cuts(bool warm)
{
    enum { WHOLE = 1 << 30 };
    struct fake_bytes want = {0};
    caller_says(tape_begin(&from_caller, false));
    provider_says(tape_begin(&from_provider, true));
    if (warm) { /* its hello is behind it, and stream 1, too */
        struct fake_bytes *in = &from_provider.conn.in;
        in->len = 0;
        provider_says(&from_provider.peer);
        for (size_t at = 0; at < in->len; at += MF_H2_HEAD_LEN + (size_t)(in->ptr[at + 1] << 8 | in->ptr[at + 2]))
            in->ptr[at + 8] = (uint8_t)(in->ptr[at + 8] + (in->ptr[at + 8] ? 2 : 0));
    }
    run(warm, WHOLE, WHOLE, WHOLE);
    fake_add(&want, story.ptr, story.len);
    fake_add(&story, "", 1);
    CHECK(strstr((char *)story.ptr, "<:status=103>" T_OK "answer" T_DONE));
    CHECK(strstr((char *)story.ptr, T_OK "same" T_DONE));
    CHECK(strstr((char *)story.ptr, "half!2"));
    CHECK(strstr((char *)story.ptr, "padded two<x-sum=2>|"));
    for (size_t cut = 1; cut < from_caller.conn.in.len; cut++) {
        run(warm, cut, WHOLE, WHOLE);
        expect(&want);
    }
    for (size_t cut = 1; cut < from_provider.conn.in.len; cut++) {
        run(warm, WHOLE, cut, WHOLE);
        expect(&want);
    }
    run(warm, WHOLE, WHOLE, 1);
    expect(&want);
    free(want.ptr);
}

int main(void)
{
    test_cuts(false);
    test_cuts(true);
    free(story.ptr);
    free(from_caller.conn.in.ptr);
    free(from_provider.conn.in.ptr);
    return test_end("h2_cuts");
}
