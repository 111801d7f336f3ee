#pragma once
/* rig_h2: the whole engine between callers of gRPC and a provider, scripted in its thread as rig.h does it for Dubbo.
 *
 * 1. rig_h2_open  2. rig_h2_exchange: every active connection makes so many calls at once, and all answers are awaited
 *    and compared; rig_h2_quiet: requests are begun and not ended  3. rig_h2_close */
#include "rig_h2_open.h"

static inline void rig_h2_ask(struct rig_h2 *it, struct rig_h2_client *client, bool whole)
{
    uint32_t stream = client->next;
    client->next += 2;
    it->n_asked++;
    rig_h2_freshen(it);
    rig_h2_put_fields(&client->end, 0, stream, it->fields, it->marks, it->n_fields);
    rig_h2_number(it->ask, (uint64_t)(client - it->clients) << 32 | stream);
    if (whole)
        rig_h2_put_data(&client->end, MF_H2_END_STREAM, stream, mf_slice_of(it->ask, it->shape.message));
}

static inline void rig_h2_wrong(const struct rig_h2_client *client, uint32_t stream)
{
    fprintf(stderr, "stream %u got a wrong answer, %u of %u calls are left\n", stream, client->left, client->calls);
    exit(1);
}

static inline void rig_h2_client_frame(void *arg, struct rig_h2_end *end, const struct mf_h2_head *head,
                                       struct mf_slice payload)
{
    struct rig_h2 *it = arg;
    struct rig_h2_client *client = (struct rig_h2_client *)(void *)end;
    if (head->type != MF_H2_HEADERS && head->type != MF_H2_DATA)
        return;
    uint32_t call = (head->stream - client->first) / 2;
    if (head->stream < client->first || call >= client->calls)
        rig_h2_wrong(client, head->stream);
    size_t *got = &client->got[call], all = it->shape.answer * it->shape.answers;
    if (head->type == MF_H2_HEADERS) {
        uint32_t n = rig_h2_decode(end, head, payload);
        bool last = head->flags & MF_H2_END_STREAM;
        const struct mf_pair *first = rig_h2_fields, *want = last ? rig_h2_tail : rig_h2_head;
        if (!n || !mf_slice_eq(first->key, want->key) || !mf_slice_eq(first->value, want->value) || (last && *got != all))
            rig_h2_wrong(client, head->stream);
        client->left -= last;
        return;
    }
    rig_h2_number(it->want, (uint64_t)(client - it->clients) << 32 | head->stream);
    while (payload.len) {
        size_t at = *got % it->shape.answer, n = it->shape.answer - at;
        n = n < payload.len ? n : payload.len;
        if (*got == all || memcmp(payload.ptr, it->want + at, n))
            rig_h2_wrong(client, head->stream);
        payload = mf_slice_of(payload.ptr + n, payload.len - n);
        *got += n;
    }
}

static inline size_t rig_h2_provide(struct rig_h2 *it)
{
    if (it->rig->provider < 0) {
        it->rig->provider = accept4(it->rig->listener, NULL, NULL, SOCK_NONBLOCK);
        if (it->rig->provider < 0)
            return 0;
        rig_h2_begin(&it->provider, it->rig->provider, false);
    }
    size_t moved = rig_h2_receive(&it->provider, rig_h2_provider_frame, it);
    uint32_t kept = 0;
    for (uint32_t i = 0; i < it->n_waiting; i++)
        if (!rig_h2_answer(it, &it->waiting[i]))
            it->waiting[kept++] = it->waiting[i];
    it->n_waiting = kept;
    return moved + rig_h2_send(&it->provider);
}

/* Two turns of the engine with what its peers do between. Returns how many bytes these have moved. */
static inline size_t rig_h2_step(struct rig_h2 *it, uint32_t active)
{
    size_t moved = 0;
    for (uint32_t i = 0; i < active; i++)
        moved += rig_h2_send(&it->clients[i].end);
    it->rig->turn(it->rig);
    moved += rig_h2_provide(it);
    it->rig->turn(it->rig);
    for (uint32_t i = 0; i < active; i++)
        moved += rig_h2_receive(&it->clients[i].end, rig_h2_client_frame, it);
    return moved;
}

/* Steps until nothing moves. */
static inline void rig_h2_settle(struct rig_h2 *it)
{
    for (int quiet = 0; quiet < 3;)
        quiet = rig_h2_step(it, it->shape.connections) ? 0 : quiet + 1;
}

/* So many requests of the first connection whose ends do not come. */
static inline void rig_h2_quiet(struct rig_h2 *it, uint32_t streams)
{
    for (uint32_t i = 0; i < streams; i++)
        rig_h2_ask(it, it->clients, false);
    rig_h2_settle(it);
}

/* The first `active` connections make `calls` each. */
static inline void rig_h2_exchange(struct rig_h2 *it, uint32_t active, uint32_t calls)
{
    for (uint32_t i = 0; i < active; i++) {
        struct rig_h2_client *client = &it->clients[i];
        client->got = client->calls < calls ? realloc(client->got, calls * sizeof *client->got) : client->got;
        bench_must(client->got ? 0 : -ENOMEM, "an exchange");
        memset(client->got, 0, calls * sizeof *client->got);
        client->first = client->next;
        client->calls = client->left = calls;
        for (uint32_t n = 0; n < calls; n++)
            rig_h2_ask(it, client, true);
    }
    double idle_since = 0;
    for (uint32_t left = active; left;) {
        size_t moved = rig_h2_step(it, active);
        left = 0;
        for (uint32_t i = 0; i < active; i++)
            left += it->clients[i].left > 0;
        if (moved) {
            idle_since = 0;
            continue;
        }
        sched_yield(); /* as rig_exchange */
        idle_since = idle_since > 0 ? idle_since : bench_now();
        if (bench_now() - idle_since > RIG_PATIENCE_S * 1e9) {
            fprintf(stderr, "%u of %u connections wait for answers that do not come\n", left, active);
            exit(1);
        }
    }
    it->rig->calls += (uint64_t)active * calls;
}

static inline struct rig_h2 *rig_h2_open(struct rig_h2_shape shape)
{
    struct rig_h2 *it = calloc(1, sizeof *it);
    it->shape = shape;
    it->ask = rig_h2_message(shape.message);
    it->answer = rig_h2_message(shape.answer);
    it->want = rig_h2_message(shape.answer);
    rig_h2_ask_fields(it);
    it->rig = rig_open((struct rig_shape){.connections = shape.connections, .tcp = shape.tcp, .label = shape.label, .h2 = true});
    it->clients = calloc(shape.connections, sizeof *it->clients);
    for (uint32_t i = 0; i < shape.connections; i++) {
        it->clients[i].next = 1;
        rig_h2_begin(&it->clients[i].end, it->rig->clients[i], true);
    }
    return it;
}

static inline void rig_h2_close(struct rig_h2 *it)
{
    for (uint32_t i = 0; i < it->shape.connections; i++) {
        rig_h2_end(&it->clients[i].end);
        free(it->clients[i].got);
    }
    rig_h2_end(&it->provider);
    rig_close(it->rig);
    free(it->clients);
    free(it->waiting);
    free(it->values);
    free(it->ask);
    free(it->answer);
    free(it->want);
    free(it);
}
