/* h2_hello: h2_echo on a loop, for clients that others wrote. Prints its port and serves until its input ends. */
#include "call/bare.h"
#include "protocol/h2_echo.h"

#include <netinet/in.h>

static struct bare bare;
static struct mf_h2_share share;
static bool over;

static void on_accept(struct mf_listener *listener, int fd, const struct mf_addr *peer)
{
    (void)listener;
    (void)peer;
    struct mf_conn *conn = mf_conn_accept(&bare.local, fd, sizeof(struct echo_conn), NULL);
    if (conn)
        echo_begin(conn, &share);
}

static void on_input(struct mf_watch *watch, uint32_t events)
{
    char byte;
    (void)events;
    over = read(watch->fd, &byte, 1) <= 0;
}

int main(int argc, char **argv)
{
    struct mf_loop *loop;
    struct mf_loop_options options = {.backend = argc > 1 && argv[1][0] == 'u' ? MF_LOOP_URING : MF_LOOP_EPOLL};
    struct mf_listener listener = {.on_accept = on_accept};
    struct mf_addr at;
    struct mf_watch watch = {.fd = 0, .events = MF_WATCH_READ, .on_ready = on_input};
    CHECK_INT(mf_loop_new(&options, &loop, NULL), 0);
    open_bare(&bare, loop, 0);
    CHECK_INT(mf_h2_share_init(&share, NULL, 0, &bare.local, NULL), 0);
    CHECK_INT(mf_addr_parse(mf_slice_str("tcp://127.0.0.1:0"), &at), 0);
    int fd = mf_sock_listen(&at, 128, false);
    CHECK_INT(mf_sock_local(fd, &at), 0);
    CHECK_INT(mf_listener_open(loop, &listener, fd), 0);
    CHECK_INT(mf_watch_add(loop, &watch), 0);
    printf("%d\n", ntohs(((struct sockaddr_in *)(void *)&at.sa)->sin_port));
    fflush(stdout);
    while (!over && mf_loop_turn(loop, 1000000000) >= 0)
        ;
    for (struct mf_list *node = bare.local.conns.next; node != &bare.local.conns; node = node->next)
        mf_conn_stop(MF_CONTAINER(node, struct mf_conn, all));
    mf_listener_close(&listener);
    for (uint64_t end = mf_clock_ns() + 3000000000; !mf_list_empty(&bare.local.conns) && mf_clock_ns() < end;)
        mf_loop_turn(loop, 1000000);
    CHECK(mf_list_empty(&bare.local.conns));
    CHECK_INT(mf_loop_memory(loop), 0);
    mf_watch_remove(&watch);
    mf_loop_free(loop);
    mf_h2_share_dispose(&share);
    close_bare(&bare);
    return test_failures != 0;
}
