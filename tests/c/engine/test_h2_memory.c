/* h2_down, h2_up, h2_request, h2_held, h2_frozen: memory that runs out at any moment of calls through a whole engine: nothing
 * is lost or crossed, nothing leaks, and when there is memory again all is well. */
#define FAKE_CONNS 128
#include "h2_judge.h"

static struct peer *come(void)
{
    struct fake_conn *conn = fake_connect();
    if (!conn)
        return NULL;
    struct peer *peer = join(conn);
    say_hello(peer, NULL);
    return peer;
}

/* All that allocates: content held before there is a connection, kept behind it, more of it than fits, trailers, blocks that
 * come again, labels, what is refused or left out by GOAWAY, resets, answers that wait for their reader. */
static void work(struct peer *callers[2])
{
    for (int i = 0; i < 2; i++)
        callers[i] = come();
    for (int i = 0; i < 2; i++) {
        if (!callers[i])
            continue;
        serve_call(callers[i], 1, 'e', 50, "");
        serve_call(callers[i], 3, 'b', 2000, "\nx-request-id: r1");
        serve_call(callers[i], 5, 'r', 7000, "\ndev: dev1");
        serve_call(callers[i], 7, 's', 0, "\ngrpc-timeout: 1S");
    }
    serve_all();
    for (uint32_t id = 9; id < 25; id += 2)
        for (int i = 0; i < 2; i++)
            if (callers[i])
                serve_call(callers[i], id, "eerrbgtb"[id / 2 % 8], id % 3 ? 0 : 30000, id & 4 ? "\nx-request-id: r1" : "");
    serve_all();
    for (int i = 0; i < 2; i++) {
        if (!callers[i])
            continue;
        serve_call(callers[i], 25, 's', 0, "");
        serve_call(callers[i], 27, 's', 100000, "");
        settle();
        for (uint32_t id = 25; id < 29; id += 2) {
            say_rst(callers[i], id, MF_H2_CANCEL);
            told_of(callers[i], id)->finished = told_of(callers[i], id)->dropped = true;
        }
    }
    pass(2000);
    serve_all();
}

static long run(long fail, bool stays)
{
    struct peer *callers[2], *after;
    memset(&serve, 0, sizeof serve);
    fail_at(0);
    long live = fail_live;
    mesh_open(MF_OUTBOUND, 2, NULL);
    serve.failing = fail != 0;
    fail_seen = 0;
    (stays ? fail_from : fail_at)(fail);
    work(callers);
    long seen = fail_seen;
    fail_at(0);
    for (int i = 0; i < 2; i++)
        if (callers[i])
            serve_judge(callers[i]);
    serve.failing = 0;
    pass(5000);
    if (!(after = come()))
        BROKEN("nobody is let in any more");
    serve_call(after, 1, 'e', 5000, "");
    serve_call(after, 3, 'r', 0, "\ndev: dev1");
    serve_all();
    serve_judge(after);
    mesh_close();
    CHECK_INT(fail_live, live);
    return seen;
}

int main(void)
{
    long n = run(0, false);
    CHECK(n > 100);
    for (long i = 1; i <= n; i++)
        run(i, false);
    for (long i = 1; i <= n; i += 3)
        run(i, true);
    return test_end("h2_memory");
}
