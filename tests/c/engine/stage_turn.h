#pragma once
/* stage_turn: moving the peers of a stage, and asking. */
#include "stage_calls.h"

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

/* The machine may stop us for longer than connectTimeout. */
static void look_at_clock(struct stage *stage)
{
    enum { SLOW_NS = 4000000 };
    uint64_t now = mf_clock_ns();
    stage->slow = stage->slow || (stage->turned && now - stage->turned > SLOW_NS);
    stage->turned = now;
}

static void turn(struct stage *stage)
{
    look_at_clock(stage);
    mf_loop_turn(stage->loop, 1000000);
    move_peers(stage);
    if (fail_on && stage->turns_left >= 0 && stage->turns_left-- == 0)
        heal(stage);
}

static void on_tick(struct mf_timer *timer)
{
    struct stage *stage = MF_CONTAINER(timer, struct stage, tick);
    look_at_clock(stage);
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
