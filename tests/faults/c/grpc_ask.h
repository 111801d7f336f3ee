#pragma once
/* grpc_ask: the fields of one kind of gRPC calls, and what those of an answer say. */
#include "h2_conn.h"

enum { ASK_EXTRA_MOST = 8, ASK_FIELDS_MOST = 9 + ASK_EXTRA_MOST, ASK_BLOCK_MOST = 4096 };

struct ask {
    struct mf_pair fields[ASK_FIELDS_MOST];
    uint32_t n, payload, answer; /* bytes of a message and of that of its answer, with their prefixes */
    char path[128], timeout[32];
};

static inline void ask_add(struct ask *ask, const char *name, const char *value)
{
    if (ask->n == ASK_FIELDS_MOST)
        die(EXIT_USAGE, "too many fields");
    ask->fields[ask->n++] = (struct mf_pair){mf_slice_str(name), mf_slice_str(value)};
}

/* `timeout` in milliseconds; empty: none. gRPC gives it eight digits. */
static inline void ask_init(struct ask *ask, const char *service, const char *timeout)
{
    snprintf(ask->path, sizeof ask->path, "/%s/Echo", service);
    ask_add(ask, ":method", "POST");
    ask_add(ask, ":scheme", "http");
    ask_add(ask, ":path", ask->path);
    ask_add(ask, ":authority", "faults");
    ask_add(ask, "te", "trailers");
    ask_add(ask, "content-type", "application/grpc");
    if (!*timeout)
        return;
    uint64_t ms = number(timeout, 1, UINT32_MAX);
    snprintf(ask->timeout, sizeof ask->timeout, ms > 99999999 ? "%lluS" : "%llum",
             (unsigned long long)(ms > 99999999 ? ms / 1000 : ms));
    ask_add(ask, "grpc-timeout", ask->timeout);
}

/* Returns the block's length, at most ASK_BLOCK_MOST. */
static inline size_t ask_put(const struct ask *ask, struct mf_hpack_encoder *encoder, uint8_t *to)
{
    uint8_t *at = to + mf_hpack_put_begin(encoder, to);
    for (uint32_t i = 0; i < ask->n; i++)
        at += mf_hpack_put(encoder, at, ask->fields[i], (struct mf_h2_mark){mf_h2_name_of(ask->fields[i].key), 0});
    return (size_t)(at - to);
}

/* Who says that it answered: a number for each name, 0 for none. */
static inline uint32_t ask_hash(struct mf_slice name)
{
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < name.len; i++)
        hash = (hash ^ name.ptr[i]) * 16777619u;
    return name.len ? hash | 1 : 0;
}

static inline int32_t ask_decimal(struct mf_slice text)
{
    int32_t v = 0;
    for (size_t i = 0; i < text.len && text.len < 6; i++)
        v = v * 10 + (text.ptr[i] - '0');
    return v;
}

/* `count` is who answered. */
static inline void ask_see(const struct mf_pair *fields, uint32_t n, struct h2_seen *seen)
{
    seen->count = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (mf_slice_eq(fields[i].key, MF_SLICE(":status")))
            seen->status = ask_decimal(fields[i].value);
        else if (mf_slice_eq(fields[i].key, MF_SLICE("grpc-status")))
            seen->grpc = ask_decimal(fields[i].value);
        else if (mf_slice_eq(fields[i].key, MF_SLICE("x-from")))
            seen->count = ask_hash(fields[i].value);
        else if (mf_slice_eq(fields[i].key, MF_SLICE("content-type")))
            seen->good = mf_slice_eq(fields[i].value, MF_SLICE("application/grpc"));
    }
}
