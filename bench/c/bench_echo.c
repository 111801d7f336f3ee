/* bench_echo: CPU us for one round trip of an echo over the loop, client and server in it, on each backend. A sanity
 * figure: both ends are ours, so it says what the loop costs and not what a proxy does.
 *
 *   bench_echo [connections [bytes [seconds]]] */
#include "loop/loop.h"
#include "loop/sock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

struct end {
    struct mf_sock sock;
    int is_client;
};

static size_t message = 200;
static uint64_t trips;

static size_t on_read(struct mf_sock *sock, struct mf_slice view)
{
    struct end *end = MF_CONTAINER(sock, struct end, sock);
    size_t whole = view.len / message * message;
    if (whole && mf_sock_write(sock, mf_slice_of(view.ptr, whole)) < 0)
        exit(1);
    trips += end->is_client ? whole / message : 0;
    return whole;
}

static const struct mf_sock_events events = {.on_read = on_read};

static double cpu_us(void)
{
    struct rusage use;
    getrusage(RUSAGE_SELF, &use);
    return (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) * 1e6 + (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec);
}

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

static void run(enum mf_loop_backend backend, int connections, double seconds)
{
    struct mf_loop_options options = {.backend = backend};
    struct mf_loop *loop;
    const char *why = NULL;
    int rc = mf_loop_new(&options, &loop, &why);
    if (rc < 0) {
        printf("%-9s not here: %s\n", "io_uring", why ? why : mf_err_text(rc));
        return;
    }
    struct end *ends = calloc((size_t)connections * 2, sizeof *ends);
    uint8_t *bytes = calloc(1, message);
    for (int i = 0; i < connections; i++) {
        int fds[2];
        pair(fds);
        for (int k = 0; k < 2; k++) {
            struct end *end = &ends[2 * i + k];
            end->sock.events = &events;
            end->sock.high = SIZE_MAX;
            end->is_client = k;
            if (mf_sock_open(loop, &end->sock, fds[k]) < 0)
                exit(1);
        }
        mf_sock_write(&ends[2 * i + 1].sock, mf_slice_of(bytes, message));
    }
    for (int i = 0; i < 1000; i++)
        mf_loop_turn(loop, -1);
    struct mf_loop_counts before, after;
    mf_loop_counts(loop, &before);
    uint64_t first = trips, start = mf_clock_ns();
    double cpu = cpu_us();
    while ((double)(mf_clock_ns() - start) < seconds * 1e9)
        for (int i = 0; i < 100; i++)
            mf_loop_turn(loop, -1);
    cpu = cpu_us() - cpu;
    mf_loop_counts(loop, &after);
    double n = (double)(trips - first);
    printf("%-9s %d connections of %zu bytes: %.2f us CPU a round trip, %.2f system calls, %.0f round trips a second\n",
           mf_loop_name(loop), connections, message, cpu / n, (double)(after.syscalls - before.syscalls) / n,
           n / seconds);
    mf_loop_free(loop);
    free(ends);
    free(bytes);
}

int main(int argc, char **argv)
{
    int connections = argc > 1 ? atoi(argv[1]) : 64;
    message = argc > 2 ? (size_t)atoi(argv[2]) : 200;
    double seconds = argc > 3 ? atof(argv[3]) : 1;
    for (int i = 0; i < 2; i++) {
        run(MF_LOOP_EPOLL, connections, seconds);
        run(MF_LOOP_URING, connections, seconds);
    }
    return 0;
}
