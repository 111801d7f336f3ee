#pragma once
/* h2_serve: callers and providers that go on by themselves, so that whatever happens between them can be judged: each call
 * has a path of its own, /svc/KIND-NUMBER, which comes back with its answer, and no caller may see another's. */
#include "h2_mesh.h"

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
    const char *at = strstr((const char *)told->text.ptr, ":path=/svc/");
    if (!at || sscanf(at + 6, "%31[^ >]", path) != 1 || strlen(path) < 8) {
        if (!serve.wild)
            BROKEN("a call of nobody: %s", (const char *)told->text.ptr);
        told->finished = true;
        say_head(peer, told->id, OK "\ngrpc-status: 0", true);
        return;
    }
    int number = number_of(path);
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

/* A call with `size` bytes of content. */
__attribute__((unused)) static void serve_call(struct peer *peer, uint32_t id, char kind, size_t size, const char *more)
{
    char lines[300];
    struct told *told = told_of(peer, id);
    snprintf(told->path, sizeof told->path, "/svc/%c-%d", kind, serve.n_calls++ & 255);
    snprintf(lines, sizeof lines, ":method: POST\n:scheme: http\n:path: %s\n:authority: svc\ncontent-type: application/grpc%s",
             told->path, more);
    say_head(peer, id, lines, size == 0);
    told->answered = true;
    told->due = size;
    told->finished = size == 0;
    if (size)
        serve_pump(peer, told);
}

/* What a caller has of its calls: each its own answer, once, or an end that says that it is none. */
__attribute__((unused)) static void serve_judge(struct peer *peer)
{
    bool there = peer->conn->sock && !peer->conn->fin;
    hear(peer);
    for (int k = 0; k < peer->n_told; k++) {
        struct told *told = &peer->told[k];
        fake_add(&told->text, "", 1);
        const char *text = (const char *)told->text.ptr, *of = strstr(text, "x-of=");
        size_t len = strlen(told->path);
        int number = number_of(told->path);
        if (!*told->path && !serve.wild)
            BROKEN("an answer to nothing: %s", text);
        if (!*told->path || serve.tainted[number])
            continue;
        if (of && (strncmp(of + 5, told->path, len) != 0 || (of[5 + len] != '>' && of[5 + len] != ' ')))
            BROKEN("%s was answered to %s", of, told->path);
        if (of && strstr(of + 5, "x-of="))
            BROKEN("%s was answered twice: %s", told->path, text);
        if (there && !told->ended && !told->reset && !told->dropped && told->path[5] != 's')
            BROKEN("%s was not answered: %s (%zu sent, %zu due, credit %llu)", told->path, text, told->sent, told->due, (unsigned long long)told->credit);
        bool good = of && told->ended && strstr(text, "grpc-status=0");
        if (!serve.failing && told->path[5] != 's' && !told->dropped && !good)
            BROKEN("%s got %s", told->path, text);
        if (good && told->path[5] == 'b' && told->content != BIG_ANSWER)
            BROKEN("%s got %zu bytes", told->path, told->content);
        if (of && told->content && (told->mixed || told->byte != serve_byte(number)))
            BROKEN("%s got another's content", told->path);
        if (serve.asked[number] > 1 && !serve.lied)
            BROKEN("%s was executed %d times", told->path, serve.asked[number]);
    }
}
