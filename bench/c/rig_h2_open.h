#pragma once
/* rig_h2_open: what the callers of rig_h2.h ask, and the provider that answers them.
 *
 * A message begins with gRPC's prefix and a number that is the call's own, and its answers begin with the same: one that
 * goes to another call is seen. */
#include "rig_h2_end.h"

enum { RIG_H2_PREFIX = 5, RIG_H2_NUMBER = RIG_H2_PREFIX + 8, RIG_H2_USUAL = 10 };

struct rig_h2_shape {
    uint32_t connections;
    size_t message, answer; /* bytes of each, with its prefix */
    uint32_t answers;       /* messages of an answer */
    uint32_t extra;         /* fields beside the usual ones ... */
    size_t extra_len;       /* ... and bytes of each one's value */
    bool fresh;             /* which differ from call to call, and stay out of the tables */
    bool trace;             /* the first of them is a traceparent */
    bool label, tcp;        /* as rig_shape */
};

/* An answer that a window holds up. */
struct rig_h2_answer {
    uint32_t stream, left;
    int64_t window;
    uint64_t number;
};

struct rig_h2_client {
    struct rig_h2_end end; /* first */
    uint32_t next, first;  /* ids of streams: the next one, and the first of the exchange */
    uint32_t calls, left;  /* of the exchange */
    size_t *got;           /* bytes of each one's answers */
};

struct rig_h2 {
    struct rig *rig;
    struct rig_h2_shape shape;
    struct rig_h2_client *clients;
    struct rig_h2_end provider;
    struct rig_h2_answer *waiting;
    uint32_t n_waiting, waiting_room;
    uint64_t n_asked;
    struct mf_pair fields[RIG_H2_FIELDS];
    struct mf_h2_mark marks[RIG_H2_FIELDS];
    uint32_t n_fields;
    uint8_t *ask, *answer, *want, *values;
};

static const char *const rig_h2_usual[RIG_H2_USUAL][2] = {
    {":method", "POST"}, {":scheme", "http"}, {":path", "/" FRAMES_SERVICE "/Echo"}, {":authority", "demo:50051"},
    {"te", "trailers"}, {"content-type", "application/grpc"}, {"grpc-timeout", "900S"}, {"user-agent", "grpc-c-bench/1.0"},
    {"grpc-accept-encoding", "identity,deflate,gzip"}, {"x-user", "bench"},
};

static inline void rig_h2_number(uint8_t *message, uint64_t number)
{
    mf_put64(message + RIG_H2_PREFIX, number);
}

static inline uint8_t *rig_h2_message(size_t len)
{
    uint8_t *bytes = malloc(len);
    bench_must(bytes && len >= RIG_H2_NUMBER ? 0 : -ENOMEM, "a message");
    memset(bytes, 'x', len);
    bytes[0] = 0;
    mf_put32(bytes + 1, (uint32_t)(len - RIG_H2_PREFIX));
    return bytes;
}

/* A request's fields: all the same each time but for those that are to be fresh. */
static inline void rig_h2_ask_fields(struct rig_h2 *it)
{
    static char names[RIG_H2_FIELDS][24];
    uint32_t extra = it->shape.extra;
    bench_must(RIG_H2_USUAL + extra > RIG_H2_FIELDS ? MF_ELIMIT : 0, "so many fields");
    for (int i = 0; i < RIG_H2_USUAL; i++)
        it->fields[it->n_fields++] = (struct mf_pair){mf_slice_str(rig_h2_usual[i][0]), mf_slice_str(rig_h2_usual[i][1])};
    it->values = malloc(extra * it->shape.extra_len + 1);
    memset(it->values, 'v', extra * it->shape.extra_len + 1);
    for (uint32_t i = 0; i < extra; i++) {
        uint8_t *value = it->values + i * it->shape.extra_len;
        snprintf(names[i], sizeof names[i], "x-extra-%u", i);
        struct mf_slice name = mf_slice_str(it->shape.trace && i == 0 ? "traceparent" : names[i]);
        if (it->shape.trace && i == 0)
            memcpy(value, "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", it->shape.extra_len);
        it->fields[it->n_fields++] = (struct mf_pair){name, mf_slice_of(value, it->shape.extra_len)};
    }
    for (uint32_t i = 0; i < it->n_fields; i++) {
        it->marks[i].name = mf_h2_mark_of(it->fields[i]).name;
        it->marks[i].flags = it->shape.fresh && i >= RIG_H2_USUAL ? MF_H2_MARK_PLAIN : 0;
    }
}

static inline void rig_h2_freshen(struct rig_h2 *it)
{
    for (uint32_t i = 0; it->shape.fresh && i < it->shape.extra; i++) {
        uint8_t *to = it->values + i * it->shape.extra_len + 3; /* behind a traceparent's version */
        for (int k = 0; k < 12; k++)
            to[k] = (uint8_t)"0123456789abcdef"[it->n_asked >> 4 * k & 15];
    }
}

/* --- the provider */

static const struct mf_pair rig_h2_head[] = {{MF_SLICE(":status"), MF_SLICE("200")},
                                             {MF_SLICE("content-type"), MF_SLICE("application/grpc")}};
static const struct mf_pair rig_h2_tail[] = {{MF_SLICE("grpc-status"), MF_SLICE("0")}};
static const struct mf_h2_mark rig_h2_marks[2];

/* As far as windows go; true once that is all of it. */
static inline bool rig_h2_answer(struct rig_h2 *it, struct rig_h2_answer *one)
{
    int64_t len = (int64_t)it->shape.answer;
    rig_h2_number(it->answer, one->number);
    for (; one->left && one->window >= len && it->provider.window >= len; one->left--, one->window -= len)
        rig_h2_put_data(&it->provider, 0, one->stream, mf_slice_of(it->answer, it->shape.answer));
    if (!one->left)
        rig_h2_put_fields(&it->provider, MF_H2_END_STREAM, one->stream, rig_h2_tail, rig_h2_marks, 1);
    return !one->left;
}

static inline void rig_h2_asked(struct rig_h2 *it, uint32_t stream, struct mf_slice message)
{
    struct rig_h2_answer one = {stream, it->shape.answers, it->provider.stream_window, 0};
    bench_must(message.len == it->shape.message ? 0 : MF_EH2_ORDER, "a request as it was sent");
    one.number = mf_get64(message.ptr + RIG_H2_PREFIX);
    rig_h2_put_fields(&it->provider, 0, stream, rig_h2_head, rig_h2_marks, 2);
    if (rig_h2_answer(it, &one))
        return;
    if (it->n_waiting == it->waiting_room) {
        it->waiting_room = it->waiting_room * 2 + 16;
        it->waiting = realloc(it->waiting, it->waiting_room * sizeof *it->waiting);
        bench_must(it->waiting ? 0 : -ENOMEM, "answers");
    }
    it->waiting[it->n_waiting++] = one;
}

static inline void rig_h2_provider_frame(void *arg, struct rig_h2_end *end, const struct mf_h2_head *head,
                                         struct mf_slice payload)
{
    struct rig_h2 *it = arg;
    uint32_t more;
    bool stamped = !it->shape.label;
    if (head->type == MF_H2_HEADERS) {
        for (uint32_t i = rig_h2_decode(end, head, payload); i-- > 0;)
            stamped |= mf_slice_eq(rig_h2_fields[i].key, MF_SLICE("env"));
        bench_must(stamped ? 0 : MF_EH2_ORDER, "a label");
    } else if (head->type == MF_H2_DATA && head->flags & MF_H2_END_STREAM) {
        rig_h2_asked(it, head->stream, payload);
    } else if (head->type == MF_H2_WINDOW_UPDATE && head->stream) {
        bench_must(mf_h2_frame_window(head, payload, &more), "a window");
        for (uint32_t i = 0; i < it->n_waiting; i++)
            it->waiting[i].window += it->waiting[i].stream == head->stream ? more : 0;
    }
}
