#pragma once
/* h2_serve: callers and providers that go on by themselves, so that whatever happens between them can be judged: each call
 * has a path of its own, /svc/KIND-NUMBER, which comes back with its answer, and no caller may see another's. One that is
 * traced has that in its trace id instead, and all else as others have it. */
#include "h2_mesh.h"

#define SERVE_BEHIND " te=trailers x-behind=always"
enum { BIG_ANSWER = 30000, SERVE_TURNS = 40 };

static struct {
    int n_calls;
    bool refused[256]; /* by a call's number: once */
    int asked[256];    /* how often its whole request came to a provider that did not send it away */
    bool failing;      /* anything may end */
    bool wild;         /* others may say anything, too, ... */
    bool lied;         /* ... and a provider has */
    bool tainted[256]; /* by a call's number: ... of that call */
} serve;

static int number_of(const char *path)
{
    const char *dash = strchr(path, '-');
    return dash ? atoi(dash + 1) & 255 : 0;
}

/* Where the path of a call is in what its provider was told; NULL: it is nobody's. */
static const char *serve_path(const char *text)
{
    const char *at = strstr(text, "x-request-id=/svc/");
    if (at)
        return at + 13;
    at = strstr(text, ":path=/svc/");
    return at ? at + 6 : NULL;
}

/* What a call's content is made of. */
static uint8_t serve_byte(int number)
{
    return (uint8_t)(0x80 | number * 37);
}

/* Content that is due on a stream, as far as its window goes; then the end. */
static void serve_pump(struct peer *peer, struct told *told)
{
    size_t window = mesh.limits.h2_first_window + told->credit - told->sent;
    size_t n = told->due < window ? told->due : window;
    if (told->finished)
        return;
    if (n) {
        say_byte = serve_byte(number_of(told->path));
        say_much(peer, told->id, n, told->due == n && !peer->conn->up);
        told->due -= n;
        told->sent += n;
    }
    if (told->due == 0) {
        told->finished = true;
        if (peer->conn->up)
            say_head(peer, told->id, DONE, true);
    }
}

/* A reader that keeps up. */
static void serve_take(struct peer *peer, struct told *told)
{
    size_t n = told->content - told->taken;
    if (n == 0)
        return;
    told->taken += n;
    say_window(peer, 0, (uint32_t)n);
    if (!told->ended && !told->reset)
        say_window(peer, told->id, (uint32_t)n);
}

static void serve_answer(struct peer *peer, struct told *told)
{
    char *path = told->path, lines[200];
    told->answered = true;
    fake_add(&told->text, "", 1);
    const char *at = serve_path((const char *)told->text.ptr);
    if (!at || sscanf(at, "%31[^ >.]", path) != 1 || strlen(path) < 8) {
        if (!serve.wild)
            BROKEN("a call of nobody: %s", (const char *)told->text.ptr);
        told->finished = true;
        say_head(peer, told->id, OK "\ngrpc-status: 0", true);
        return;
    }
    int number = number_of(path);
    if (strstr((const char *)told->text.ptr, ":path=/svc/traced ") && !serve.tainted[number] && !strstr(at, SERVE_BEHIND))
        BROKEN("%s came with other fields", path);
    if (told->content && !serve.tainted[number] && (told->mixed || told->byte != serve_byte(number)))
        BROKEN("%s came with another's content", path);
    char kind = path[5];
    bool goes = kind == 'g' && peer->highest < told->id;
    if ((kind == 'r' || (kind == 'g' && !goes)) && !serve.refused[number]) {
        serve.refused[number] = true;
        told->finished = true;
        say_rst(peer, told->id, MF_H2_REFUSED_STREAM);
        return;
    }
    if (kind == 'g' && !serve.refused[number]) {
        serve.refused[number] = true;
        told->finished = true;
        peer->left_out = told->id;
        say_goaway(peer, told->id > 1 ? told->id - 2 : 0, MF_H2_NO_ERROR);
        return;
    }
    serve.asked[number]++;
    peer->highest = told->id > peer->highest ? told->id : peer->highest;
    if (kind == 's') {
        told->finished = true;
        return;
    }
    snprintf(lines, sizeof lines, OK "\nx-of: %s%s", path, kind == 't' ? "\ngrpc-status: 0" : "");
    say_head(peer, told->id, lines, kind == 't');
    told->due = kind == 'b' ? BIG_ANSWER : 10;
    if (kind == 't')
        told->finished = true;
    else
        serve_pump(peer, told);
}

/* Providers let in and answer, callers send what is left. */
static void serve_turn(void)
{
    settle();
    for (int i = 0; i < fake.n; i++) {
        struct fake_conn *conn = &fake.conns[i];
        if (!conn->sock)
            continue;
        if (conn->up && !conn->answered) {
            fake_answer_connect(conn, 0);
            say_hello(join(conn), NULL);
            continue;
        }
        struct peer *peer = peer_of(conn);
        if (!peer->conn)
            continue;
        hear(peer);
        for (int k = 0; k < peer->n_told; k++) {
            struct told *told = &peer->told[k];
            serve_take(peer, told);
            if (told->reset)
                continue;
            if (conn->up && told->ended && !told->answered && (!peer->left_out || told->id < peer->left_out))
                serve_answer(peer, told);
            else if (told->answered)
                serve_pump(peer, told);
        }
    }
}

__attribute__((unused)) static void serve_all(void)
{
    for (int i = 0; i < SERVE_TURNS; i++)
        serve_turn();
}

#define SERVE_HEAD ":method: POST\n:scheme: http\n:path: %s\n:authority: svc\ncontent-type: application/grpc"

static struct told *serve_new(struct peer *peer, uint32_t id, char kind)
{
    struct told *told = told_of(peer, id);
    snprintf(told->path, sizeof told->path, "/svc/%c-%d", kind, serve.n_calls++ & 255);
    return told;
}

static void serve_say(struct peer *peer, struct told *told, const char *lines, size_t size)
{
    say_head(peer, told->id, lines, size == 0);
    told->answered = true;
    told->due = size;
    told->finished = size == 0;
    if (size)
        serve_pump(peer, told);
}

/* A call with `size` bytes of content. */
__attribute__((unused)) static void serve_call(struct peer *peer, uint32_t id, char kind, size_t size, const char *more)
{
    char lines[300];
    struct told *told = serve_new(peer, id, kind);
    snprintf(lines, sizeof lines, SERVE_HEAD "%s", told->path, more);
    serve_say(peer, told, lines, size);
}

/* One that is like others but for its trace id, which is longer by `pad`. */
__attribute__((unused)) static void serve_traced(struct peer *peer, uint32_t id, char kind, size_t size, const char *more, int pad)
{
    static char lines[32768];
    struct told *told = serve_new(peer, id, kind);
    snprintf(lines, sizeof lines, SERVE_HEAD "\nx-request-id: %s.%0*d\nte: trailers\nx-behind: always%s", "/svc/traced",
             told->path, pad, 0, more);
    serve_say(peer, told, lines, size);
}
