#pragma once
/* rig: the whole engine between a client and a provider that are scripted in the same thread: nothing happens but when
 * it is told to, so a count of instructions does not depend on who ran when.
 *
 * 1. rig_open  2. rig_exchange: every active connection sends so many calls at once, and all answers are awaited and
 *    compared byte by byte  3. rig_close
 * Over UNIX sockets what is written is there at once: an exchange that fits their buffers is exactly two turns of the
 * loop. */
#include "rig_open.h"

enum { RIG_PATIENCE_S = 20 }; /* when nothing has moved for so long, it is a bug */

/* Calls with the ids 1 to `calls`, and the answers to them. */
static inline void rig_prepare(struct rig *rig, uint32_t calls)
{
    if (rig->prepared == calls)
        return;
    rig->prepared = calls;
    rig->asks.len = rig->answers.len = 0;
    for (uint32_t i = 1; i <= calls; i++) {
        uint8_t *ask = memcpy(rig_room(&rig->asks, rig->request.len), rig->request.bytes, rig->request.len);
        uint8_t *answer = memcpy(rig_room(&rig->answers, rig->answer.len), rig->answer.bytes, rig->answer.len);
        mf_put64(ask + 4, i);
        mf_put64(answer + 4, i);
        rig->asks.len += rig->request.len;
        rig->answers.len += rig->answer.len;
    }
}

static inline size_t rig_send(int fd, const uint8_t *bytes, size_t len)
{
    ssize_t n = len ? send(fd, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL) : 0;
    if (n < 0 && errno != EAGAIN)
        rig_call(-1, "a send");
    return n < 0 ? 0 : (size_t)n;
}

static inline size_t rig_recv(int fd, uint8_t *bytes, size_t len)
{
    ssize_t n = recv(fd, bytes, len, MSG_DONTWAIT);
    if (n == 0 || (n < 0 && errno != EAGAIN))
        rig_call(-1, "a receive");
    return n < 0 ? 0 : (size_t)n;
}

/* The provider answers every whole request. Returns how many bytes have moved. */
static inline size_t rig_provide(struct rig *rig)
{
    size_t moved = 0, n;
    if (rig->provider < 0) {
        rig->provider = accept4(rig->listener, NULL, NULL, SOCK_NONBLOCK);
        if (rig->provider < 0)
            return 0;
    }
    while ((n = rig_recv(rig->provider, rig_room(&rig->in, 1 << 18), 1 << 18))) {
        rig->in.len += n;
        moved += n;
    }
    uint8_t *p = rig->in.bytes, *end = p + rig->in.len;
    while (end - p >= MF_DUBBO_HEAD_LEN && (size_t)(end - p) >= MF_DUBBO_HEAD_LEN + (size_t)mf_get32(p + 12)) {
        uint8_t *to = memcpy(rig_room(&rig->out, rig->answer.len), rig->answer.bytes, rig->answer.len);
        memcpy(to + 4, p + 4, 8);
        rig->out.len += rig->answer.len;
        p += MF_DUBBO_HEAD_LEN + mf_get32(p + 12);
    }
    rig->in.len = (size_t)(end - p);
    memmove(rig->in.bytes, p, rig->in.len);
    n = rig_send(rig->provider, rig->out.bytes + rig->out_at, rig->out.len - rig->out_at);
    rig->out_at += n;
    if (rig->out_at == rig->out.len)
        rig->out_at = rig->out.len = 0;
    return moved + n;
}

static inline size_t rig_receive(struct rig *rig, uint32_t client)
{
    size_t want = rig->answers.len - rig->got[client];
    if (!want)
        return 0;
    rig->scratch.len = 0;
    uint8_t *to = rig_room(&rig->scratch, want);
    size_t n = rig_recv(rig->clients[client], to, want);
    if (memcmp(to, rig->answers.bytes + rig->got[client], n)) {
        fprintf(stderr, "client %u got a wrong answer\n", client);
        exit(1);
    }
    rig->got[client] += n;
    return n;
}

/* The first `active` connections send `calls` each; returns when all are answered. */
static inline void rig_exchange(struct rig *rig, uint32_t active, uint32_t calls)
{
    rig_prepare(rig, calls);
    memset(rig->sent, 0, active * sizeof *rig->sent);
    memset(rig->got, 0, active * sizeof *rig->got);
    uint32_t left = active;
    double idle_since = 0;
    while (left) {
        size_t moved = 0;
        for (uint32_t i = 0; i < active; i++)
            if (rig->sent[i] < rig->asks.len) {
                size_t n = rig_send(rig->clients[i], rig->asks.bytes + rig->sent[i], rig->asks.len - rig->sent[i]);
                rig->sent[i] += n;
                moved += n;
            }
        rig->turn(rig);
        moved += rig_provide(rig);
        rig->turn(rig);
        for (uint32_t i = 0; i < active; i++) {
            size_t n = rig_receive(rig, i);
            moved += n;
            left -= n && rig->got[i] == rig->answers.len;
        }
        if (moved) {
            idle_since = 0;
            continue;
        }
        sched_yield(); /* loopback TCP may leave the delivery to a kernel thread */
        idle_since = idle_since > 0 ? idle_since : bench_now();
        if (bench_now() - idle_since > RIG_PATIENCE_S * 1e9) {
            fprintf(stderr, "%u of %u connections wait for answers that do not come\n", left, active);
            exit(1);
        }
    }
    rig->calls += (uint64_t)active * calls;
}
