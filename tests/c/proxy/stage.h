#pragma once
/* stage: callers, providers and the engine on one thread. Nobody blocks: `turn` moves each of them a step, so a run does
 * the same every time it is made. Every call has a number that travels in its argument and comes back in its answer. */
#include "peers.h"

#include <dirent.h>

enum { PROVIDERS = 4, ENDS = 48, ASKS = 512, BIG_ANSWER = 100000, MEDIUM_ANSWER = 20000, SMALL_ANSWER = 40 };
enum { FREE_PLACE = -1, ENDED = -2 };
enum { BASELINE, LABELLED, APP, STUCK }; /* providers; STUCK lets nobody in */

struct bytes {
    uint8_t *at;
    size_t len, room;
};

/* One connection as the test holds it. */
struct end {
    int fd; /* FREE_PLACE: none; ENDED: closed, and its calls still name it */
    int provider; /* whose it is; -1: a caller's */
    bool plain, gone, drop;
    size_t sent, echoed; /* of plain bytes */
    struct bytes in, out;
};

enum { ECHO = 'e', MEDIUM = 'm', BIG = 'b', SILENT = 's', DROP = 'd', ONE_WAY_CALL = 'o' };

struct ask {
    struct end *from;
    struct bytes frame;    /* as it was sent */
    uint8_t command, want; /* the status that it gets when there is memory */
    uint8_t status;        /* what it got */
    uint8_t to;            /* bit set of the providers that may see it */
    bool stamped;          /* it may arrive with dev=dev1 behind it */
    bool settled;
    int delivered;
};

struct stage {
    struct mf_loop *loop;
    struct mf_table *table;
    struct mf_trace *trace;
    struct mf_engine *engine;
    struct mf_addr outbound, inbound;
    struct mf_addr addrs[PROVIDERS];
    int listeners[PROVIDERS];
    struct end ends[ENDS];
    struct ask asks[ASKS];
    uint32_t n_asks;
    bool strict;           /* every call must get what it wants: nothing fails any more */
    bool stopping;         /* connections end, and who still waits is told so */
    long turns_left;       /* a lasting failure heals after so many turns that saw it; -1: never by itself */
    uint32_t shed;         /* calls and connections that got less than they wanted */
    struct mf_timer tick;  /* moves the peers while the engine turns the loop by itself */
};

static void append(struct bytes *to, const void *from, size_t len)
{
    if (to->room - to->len < len) {
        to->room = 2 * (to->len + len);
        to->at = realloc(to->at, to->room);
    }
    if (len)
        memcpy(to->at + to->len, from, len);
    to->len += len;
}

static void cut(struct bytes *from, size_t len)
{
    from->len -= len;
    if (from->len)
        memmove(from->at, from->at + len, from->len);
}

static void free_bytes(struct bytes *bytes)
{
    free(bytes->at);
    *bytes = (struct bytes){0};
}

static int open_descriptors(void)
{
    DIR *dir = opendir("/proc/self/fd");
    int n = 0;
    while (dir && readdir(dir))
        n++;
    closedir(dir);
    return n;
}

/* --- ends */

static struct end *new_end(struct stage *stage, int fd, int provider)
{
    int on = 1;
    for (int i = 0; i < ENDS; i++) {
        struct end *end = &stage->ends[i];
        if (end->fd != FREE_PLACE)
            continue;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        *end = (struct end){.fd = fd, .provider = provider};
        return end;
    }
    CHECK(!"room for another connection");
    abort();
}

static void close_end(struct end *end)
{
    if (end->fd >= 0)
        close(end->fd);
    end->fd = FREE_PLACE;
    free_bytes(&end->in);
    free_bytes(&end->out);
}

static struct end *call_in(struct stage *stage, const struct mf_addr *addr)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK_INT(connect(fd, &addr->sa, addr->len), 0); /* the kernel lets it in: no turn is needed */
    return new_end(stage, fd, -1);
}

/* What was asked on a connection that has ended is settled: there is nobody left to tell. */
static void caller_lost(struct stage *stage, struct end *end)
{
    close(end->fd);
    end->fd = ENDED;
    end->gone = true;
    bool allowed = !stage->strict && fail_failed > 0;
    CHECK(allowed || stage->stopping);
    stage->shed += !stage->stopping;
    for (uint32_t i = 0; i < stage->n_asks; i++) {
        if (stage->asks[i].from != end || stage->asks[i].settled)
            continue;
        CHECK(allowed);
        stage->asks[i].settled = true;
    }
}

/* --- answers */

static void fill(uint8_t *to, size_t len, uint32_t number)
{
    for (size_t i = 0; i < len; i++)
        to[i] = (uint8_t)('a' + (i + number) % 26);
}

static size_t answer_size(uint8_t command)
{
    return command == BIG ? BIG_ANSWER : command == MEDIUM ? MEDIUM_ANSWER : SMALL_ANSWER;
}

static bool right_answer(const struct ask *ask, uint32_t number, struct mf_slice body)
{
    static uint8_t want[BIG_ANSWER];
    size_t len = answer_size(ask->command);
    fill(want, len, number);
    return body.len == len + 4 && mf_get32(body.ptr) == number && memcmp(body.ptr + 4, want, len) == 0;
}

static void answered(struct stage *stage, const struct end *end, const struct mf_dubbo_head *head, struct mf_slice body)
{
    if (head->flags & MF_DUBBO_EVENT)
        return;
    CHECK_INT(head->flags & MF_DUBBO_REQUEST, 0);
    uint32_t number = (uint32_t)head->id;
    CHECK(number < stage->n_asks);
    if (number >= stage->n_asks)
        return;
    struct ask *ask = &stage->asks[number];
    CHECK(ask->from == end); /* else it was crossed */
    CHECK(!ask->settled);
    ask->settled = true;
    ask->status = head->status;
    if (head->status == 20)
        CHECK(right_answer(ask, number, body));
    if (head->status == ask->want)
        return;
    bool allowed = !stage->strict && fail_failed > 0 && (head->status == 100 || head->status == 35);
    if (!allowed)
        fprintf(stderr, "call %u (%c) got %u, not %u: %.*s\n", number, ask->command, head->status, ask->want,
                body.len > 80 ? 80 : (int)body.len, (const char *)body.ptr);
    CHECK(allowed);
    stage->shed++;
}

/* --- the providers */

static struct ask *named(struct stage *stage, struct mf_slice body)
{
    const char *mark = memmem(body.ptr, body.len < 200 ? body.len : 200, "#call ", 6);
    uint32_t number = mark ? (uint32_t)atol(mark + 6) : UINT32_MAX;
    CHECK(number < stage->n_asks);
    return number < stage->n_asks ? &stage->asks[number] : NULL;
}

static bool as_sent(const struct ask *ask, struct mf_slice body)
{
    static const char stamp[] = "\003dev\004dev1Z";
    struct mf_slice sent = mf_slice_of(ask->frame.at + MF_DUBBO_HEAD_LEN, ask->frame.len - MF_DUBBO_HEAD_LEN);
    if (!ask->stamped)
        return mf_slice_eq(sent, body);
    return body.len == sent.len - 1 + sizeof stamp - 1 && memcmp(body.ptr, sent.ptr, sent.len - 1) == 0 &&
           memcmp(body.ptr + sent.len - 1, stamp, sizeof stamp - 1) == 0;
}

static void put_answer(struct end *end, const struct mf_dubbo_head *request, uint32_t number, size_t len)
{
    static uint8_t body[BIG_ANSWER + 4];
    uint8_t bytes[MF_DUBBO_HEAD_LEN];
    struct mf_dubbo_head head = {.id = request->id, .flags = request->serialization, .status = 20,
                                 .serialization = request->serialization, .body_len = (uint32_t)len + 4};
    mf_dubbo_put_head(bytes, &head);
    mf_put32(body, number);
    fill(body + 4, len, number);
    append(&end->out, bytes, sizeof bytes);
    append(&end->out, body, len + 4);
}

static void put_beat(struct end *end, uint64_t id, uint8_t flags)
{
    uint8_t beat[MF_DUBBO_HEAD_LEN + 1] = {0};
    struct mf_dubbo_head head = {.id = id, .flags = flags, .status = flags & MF_DUBBO_REQUEST ? 0 : 20,
                                 .serialization = MF_DUBBO_HESSIAN2, .body_len = 1};
    mf_dubbo_put_head(beat, &head);
    beat[MF_DUBBO_HEAD_LEN] = 'N';
    append(&end->out, beat, sizeof beat);
}

static void provide(struct stage *stage, struct end *end, const struct mf_dubbo_head *head, struct mf_slice body)
{
    if (head->flags & MF_DUBBO_EVENT) {
        if ((head->flags & MF_DUBBO_REQUEST) && (head->flags & MF_DUBBO_TWO_WAY))
            put_beat(end, head->id, MF_DUBBO_EVENT | MF_DUBBO_HESSIAN2);
        return;
    }
    struct ask *ask = named(stage, body);
    if (!ask)
        return;
    CHECK(as_sent(ask, body));
    CHECK(ask->to & 1 << end->provider);
    CHECK_INT(ask->delivered++, 0); /* never twice */
    switch (ask->command) {
    case SILENT:
    case ONE_WAY_CALL:
        return;
    case DROP:
        put_beat(end, 1, MF_DUBBO_EVENT | MF_DUBBO_HESSIAN2); /* it has lived: its end is no refusal */
        end->drop = true;
        return;
    default:
        put_answer(end, head, (uint32_t)(ask - stage->asks), answer_size(ask->command));
    }
}

/* --- moving them */

static void cut_frames(struct stage *stage, struct end *end)
{
    size_t at = 0;
    struct mf_dubbo_head head;
    while (end->in.len - at >= MF_DUBBO_HEAD_LEN) {
        struct mf_slice rest = mf_slice_of(end->in.at + at, end->in.len - at);
        int rc = mf_dubbo_parse_head(rest, UINT32_MAX >> 1, &head);
        CHECK_INT(rc, MF_DUBBO_HEAD_LEN);
        if (rc < 0 || rest.len < (size_t)MF_DUBBO_HEAD_LEN + head.body_len)
            break;
        struct mf_slice body = mf_slice_of(rest.ptr + MF_DUBBO_HEAD_LEN, head.body_len);
        if (end->provider >= 0)
            provide(stage, end, &head, body);
        else
            answered(stage, end, &head, body);
        at += MF_DUBBO_HEAD_LEN + head.body_len;
    }
    cut(&end->in, at);
}

/* Plain bytes: the application says them back; the caller looks whether they are its own. */
static void take_plain(struct end *end)
{
    if (end->provider >= 0) {
        append(&end->out, end->in.at, end->in.len);
    } else {
        for (size_t i = 0; i < end->in.len; i++)
            if (end->in.at[i] != (uint8_t)('a' + (end->echoed + i) % 26)) {
                CHECK(!"plain bytes come back as they were");
                break;
            }
        end->echoed += end->in.len;
    }
    end->in.len = 0;
}

static void move_end(struct stage *stage, struct end *end)
{
    static uint8_t room[65536];
    if (end->fd < 0)
        return;
    if (end->out.len) {
        ssize_t n = send(end->fd, end->out.at, end->out.len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n > 0)
            cut(&end->out, (size_t)n);
    }
    if (end->drop && !end->out.len) {
        close_end(end);
        return;
    }
    ssize_t n = recv(end->fd, room, sizeof room, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n > 0) {
        append(&end->in, room, (size_t)n);
        if (end->provider == APP && end->in.at[0] != 0xda && !end->echoed)
            end->plain = true;
        if (end->plain)
            take_plain(end);
        else
            cut_frames(stage, end);
    } else if (end->provider >= 0) {
        close_end(end);
    } else {
        caller_lost(stage, end);
    }
}

static void move_peers(struct stage *stage)
{
    for (int i = 0; i < PROVIDERS; i++)
        for (int fd; i != STUCK && (fd = accept4(stage->listeners[i], NULL, NULL, SOCK_CLOEXEC)) >= 0;)
            new_end(stage, fd, i);
    for (int i = 0; i < ENDS; i++)
        move_end(stage, &stage->ends[i]);
}

static void heal(struct stage *stage)
{
    fail_on = 0;
    fail_countdown = 0;
    stage->turns_left = -1;
}

static void turn(struct stage *stage)
{
    mf_loop_turn(stage->loop, 1000000);
    move_peers(stage);
    if (fail_on && stage->turns_left >= 0 && stage->turns_left-- == 0)
        heal(stage);
}

static void on_tick(struct mf_timer *timer)
{
    struct stage *stage = MF_CONTAINER(timer, struct stage, tick);
    move_peers(stage);
    if (fail_on && stage->turns_left >= 0 && stage->turns_left-- == 0)
        heal(stage);
    mf_timer_set(mf_loop_timers(stage->loop), timer, mf_loop_now(stage->loop) + 1000000, on_tick);
}

static uint32_t n_open(const struct stage *stage)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < stage->n_asks; i++)
        n += !stage->asks[i].settled;
    return n;
}

/* Turns until every call has its answer or has lost its connection. */
static void settle(struct stage *stage)
{
    uint64_t until = mf_clock_ns() + 20000000000u;
    while (n_open(stage) && mf_clock_ns() < until)
        turn(stage);
    for (uint32_t i = 0; i < stage->n_asks; i++) {
        struct ask *ask = &stage->asks[i];
        if (ask->settled)
            continue;
        fprintf(stderr, "call %u (%c) hangs, delivered %d\n", i, ask->command, ask->delivered);
        CHECK(!"every call ends");
        ask->settled = true;
    }
}

/* --- asking */

struct question {
    const char *service;
    uint8_t command;
    size_t size; /* of the argument */
    const char *const *pairs;
    uint8_t want, to;
    bool stamped;
    uint8_t serialization; /* 0: Hessian2 */
    bool broken;           /* its last byte is wrong */
};

/* Asks on a connection; on a new one where that has ended. */
static struct ask *put_question(struct stage *stage, struct end **from, const struct mf_addr *addr,
                                const struct question *q)
{
    if ((*from)->gone)
        *from = call_in(stage, addr);
    CHECK(stage->n_asks < ASKS);
    uint32_t number = stage->n_asks++;
    struct ask *ask = &stage->asks[number];
    size_t size = q->size < 32 ? 32 : q->size;
    uint8_t *text = malloc(size), *bytes = malloc(size + 2048);
    fill(text, size, number);
    int n = snprintf((char *)text, size, "#call %u ", number);
    text[n] = '.';
    bool two_way = q->command != ONE_WAY_CALL;
    size_t len = request(bytes, number, two_way ? TWO_WAY : ONE_WAY, q->service, mf_slice_of(text, size), q->pairs);
    if (q->serialization)
        bytes[2] = (uint8_t)((bytes[2] & 0xe0) | q->serialization);
    if (q->broken)
        bytes[len - 1] = 'G';
    *ask = (struct ask){.from = *from, .command = q->command, .want = q->want, .to = q->to, .stamped = q->stamped,
                        .settled = !two_way};
    append(&ask->frame, bytes, len);
    append(&(*from)->out, bytes, len);
    free(text);
    free(bytes);
    return ask;
}
