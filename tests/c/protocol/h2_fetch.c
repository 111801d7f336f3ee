/* h2_fetch: h2_asker on a loop, against servers that others wrote. `h2_fetch PORT COUNT BODY PATH...`: so many requests of each
 * path, at most as many at once as the server lets, with a body of so many bytes (0: GET); prints what came. */
#include "call/bare.h"
#include "protocol/h2_asker.h"

int main(int argc, char **argv)
{
    if (argc < 5)
        return 2;
    struct bare bare;
    struct mf_h2_share share;
    struct mf_loop *loop;
    struct mf_addr at;
    char to[64];
    int rc, count = atoi(argv[2]);
    size_t body = strtoul(argv[3], NULL, 10), got = 0, whole = 0, done = 0, asked_for = 0;
    CHECK_INT(mf_loop_new(&(struct mf_loop_options){.backend = MF_LOOP_AUTO}, &loop, NULL), 0);
    open_bare(&bare, loop, 0);
    CHECK_INT(mf_h2_share_init(&share, NULL, 0, &bare.local, NULL), 0);
    snprintf(to, sizeof to, "tcp://127.0.0.1:%s", argv[1]);
    CHECK_INT(mf_addr_parse(mf_slice_str(to), &at), 0);
    struct mf_conn *conn = mf_conn_dial(&bare.local, &at, sizeof(struct asking), NULL, &rc);
    struct mf_h2_conn *h2 = (struct mf_h2_conn *)(void *)conn;
    mf_h2_conn_begin(h2, &ask_ops, &share, false);
    struct mf_block *bytes = mf_loop_block(loop, body + 1);
    memset(bytes->data, 'x', body);
    size_t all = (size_t)count * (size_t)(argc - 4);
    for (uint64_t end = mf_clock_ns() + 30000000000; done < all && !asker.lost && mf_clock_ns() < end;) {
        while (asked_for < all && !asker.lost && mf_h2_conn_room(h2)) {
            const char *path = argv[4 + asked_for % (size_t)(argc - 4)];
            struct asked *asked = ask(h2, body ? "POST" : "GET", path, body == 0);
            if (!asked)
                break;
            asked_for++;
            if (body)
                mf_h2_stream_block(asked->stream, bytes, mf_slice_of(bytes->data, body), true);
        }
        mf_loop_turn(loop, 10000000);
        for (int i = 0; i < ASKED; i++) {
            struct asked *asked = &asker.of[i];
            if (!asked->over)
                continue;
            done++;
            got += asked->got;
            whole += asked->end.why == MF_H2_WHOLE && asked->status == 200;
            if (asked->end.why != MF_H2_WHOLE)
                printf("why %d code %u rc %d\n", asked->end.why, asked->end.code, asked->end.rc);
            asked->over = false;
        }
    }
    printf("%zu asked, %zu ended, %zu whole, %zu bytes\n", asked_for, done, whole, got);
    if (!asker.lost)
        mf_h2_conn_goaway(h2, true);
    for (uint64_t end = mf_clock_ns() + 3000000000; !mf_list_empty(&bare.local.conns) && mf_clock_ns() < end;)
        mf_loop_turn(loop, 1000000);
    CHECK(mf_list_empty(&bare.local.conns));
    mf_block_give(bytes);
    CHECK_INT(mf_loop_memory(loop), 0);
    mf_loop_free(loop);
    mf_h2_share_dispose(&share);
    close_bare(&bare);
    return test_failures || whole != all;
}
