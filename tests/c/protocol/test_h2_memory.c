/* protocol/h2_core, h2_send, h2_conn, h2_share: memory that runs out at any moment: streams or connections end, each stream
 * once, and nothing else happens. */
#include "protocol/h2_asker.h"
#include "protocol/h2_echo.h"
#include "protocol/h2_world.h"

static struct wire up, down;

static void carry(void)
{
    for (int quiet = 0; quiet < 3;) {
        size_t moved = up.conn->out.len + down.conn->out.len;
        fake_send(down.conn, up.conn->out.ptr, up.conn->out.len);
        fake_take(&up.conn->out, up.conn->out.len);
        fake_send(up.conn, down.conn->out.ptr, down.conn->out.len);
        fake_take(&down.conn->out, down.conn->out.len);
        fake_turn(0);
        quiet = moved ? 0 : quiet + 1;
    }
}

static struct asked *try(const char *method, const char *path, bool end)
{
    return up.conn->sock && mf_conn_open(&up.h2->conn) ? ask(up.h2, method, path, end) : NULL;
}

/* All that allocates: tables, streams, more of them than slots, content that waits, trailers behind it, a block of fields
 * longer than a frame, packing. Returns how many streams were asked for. */
static uint32_t work(void)
{
    uint32_t n = 0;
    static char path[20000] = "/";
    memset(path + 1, 'x', sizeof path - 2);
    carry();
    for (int i = 0; i < 20; i++)
        n += try("GET", i & 1 ? "/bytes/20000" : "/", true) != NULL;
    n += try("GET", path, true) != NULL;
    struct asked *asked = try("POST", "/", false);
    if (asked) {
        static uint8_t body[30000];
        n++;
        if (mf_h2_stream_data(asked->stream, mf_slice_of(body, sizeof body), NULL, false) >= 0 &&
            mf_h2_stream_data(asked->stream, mf_slice_of(body, 10), NULL, false) >= 0)
            mf_h2_stream_trailers(asked->stream, &echo_trailer, NULL, 1, NULL);
    }
    carry();
    pass(2000);
    n += try("GET", "/", true) != NULL;
    carry();
    return n;
}

static uint32_t run(long fail)
{
    memset(&asker, 0, sizeof asker);
    world_open();
    down = world_accept(sizeof(struct echo_conn), echo_begin);
    up = world_dial(sizeof(struct asking), &ask_ops);
    fail_at(fail);
    uint32_t n = work();
    bool failed = fail_failed > 0;
    fail_at(0);
    CHECK(fail || n == 23);
    carry();
    for (int i = 0; i < fake.n; i++)
        fake.conns[i].reset = true;
    settle();
    CHECK_INT(asker.ends, n);
    CHECK_INT(asker.lost, 1);
    world_close();
    return failed;
}

int main(void)
{
    run(0);
    long at = 1;
    while (run(at))
        at++;
    CHECK(at > 50);
    struct mf_h2_share bad;
    world_open();
    for (long n = 1; n < 5; n++) {
        fail_at(n);
        CHECK_INT(mf_h2_share_init(&bad, NULL, 0, &bare.local, NULL), -ENOMEM);
        mf_h2_share_dispose(&bad);
    }
    fail_at(0);
    world_close();
    return test_end("test_h2_memory");
}
