/* bench_echo: CPU ns for one round trip of an echo over the loop, client and server in it, on each backend. A sanity
 * figure: both ends are ours, so it says what the loop costs and not what a proxy does. One JSON object a line
 * (bench.h); names end in the backend and the connections. */
#include "bench.h"

#include "loop/loop.h"
#include "loop/sock.h"

#include <sys/socket.h>
#include <unistd.h>

struct end {
    struct mf_sock sock;
    int is_client;
};

enum { MESSAGE = 200 };

static uint64_t trips;

static size_t on_read(struct mf_sock *sock, struct mf_slice view)
{
    struct end *end = MF_CONTAINER(sock, struct end, sock);
    size_t whole = view.len / MESSAGE * MESSAGE;
    if (whole && mf_sock_write(sock, mf_slice_of(view.ptr, whole)) < 0)
        exit(1);
    trips += end->is_client ? whole / MESSAGE : 0;
    return whole;
}

static const struct mf_sock_events events = {.on_read = on_read};

static void pair(int fds[2])
{
    struct mf_addr at;
    mf_addr_parse(mf_slice_str("tcp://127.0.0.1:0"), &at);
    int fd = mf_sock_listen(&at, 1, false);
    mf_sock_local(fd, &at);
    fds[0] = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || connect(fds[0], &at.sa, at.len) < 0 || (fds[1] = accept(fd, NULL, NULL)) < 0) {
        perror("pair");
        exit(1);
    }
    close(fd);
}

static double echo(void *arg)
{
    uint64_t first = trips;
    double start = bench_now(), cpu = bench_cpu_now();
    while (bench_now() - start < bench.ms * 1e6)
        for (int i = 0; i < 20; i++)
            bench_must(mf_loop_turn(arg, -1), "a turn");
    return (bench_cpu_now() - cpu) / (double)(trips - first);
}

static void run(enum mf_loop_backend backend, const char *as, int connections)
{
    struct mf_loop_options options = {.backend = backend};
    struct mf_loop *loop;
    const char *why = NULL;
    char name[64];
    int rc = mf_loop_new(&options, &loop, &why);
    if (rc < 0) {
        fprintf(stderr, "%s is not here: %s\n", as, why ? why : mf_err_text(rc));
        return;
    }
    struct end *ends = calloc((size_t)connections * 2, sizeof *ends);
    static const uint8_t bytes[MESSAGE];
    for (int i = 0; i < connections; i++) {
        int fds[2];
        pair(fds);
        for (int k = 0; k < 2; k++) {
            struct end *end = &ends[2 * i + k];
            end->sock.events = &events;
            end->sock.high = SIZE_MAX;
            end->is_client = k;
            bench_must(mf_sock_open(loop, &end->sock, fds[k]), "a socket");
        }
        bench_must(mf_sock_write(&ends[2 * i + 1].sock, mf_slice_of(bytes, MESSAGE)), "a write");
    }
    snprintf(name, sizeof name, "loop.echo/%s/%d", as, connections);
    bench_rounds(name, echo, loop);
    mf_loop_free(loop);
    free(ends);
}

int main(int argc, char **argv)
{
    bench_begin(argc, argv);
    for (int connections = 1; connections <= 64; connections *= 64) {
        run(MF_LOOP_EPOLL, "epoll", connections);
        run(MF_LOOP_URING, "io_uring", connections);
    }
    return 0;
}
