#pragma once
/* h2_call: the fields of a gRPC call as a client sends them: once for the connection's table, then by their indices. */
#include "h2_conn.h"

enum { CALL_EXTRA_MOST = 32, CALL_BLOCK_MOST = 8192, CALL_TRACE_LEN = 55, CALL_FIELDS_MOST = 12 + CALL_EXTRA_MOST };
#define CALL_TRACE "00-00000000000000000000000000000000-0000000000000000-01"

/* A fresh traceparent: none; a literal that stays out of the table; one that goes into it, as some clients do. */
enum call_trace { CALL_TRACE_NONE, CALL_TRACE_ONCE, CALL_TRACE_INDEXED };

struct call_field {
    char name[64], value[256];
    uint32_t at, name_at; /* in the static table, as a whole or the name alone; else 0 */
};

struct call_block {
    uint8_t bytes[CALL_BLOCK_MOST];
    size_t len, trace_at; /* where the trace's value is, 0 without */
};

struct call {
    struct call_field fields[CALL_FIELDS_MOST];
    uint32_t n;
    enum call_trace trace;
    struct call_block first, steady, bare; /* filling the table; from it; without one */
    uint64_t random;
};

static inline void call_add(struct call *c, uint32_t at, uint32_t name_at, const char *name, const char *value)
{
    struct call_field *f = &c->fields[c->n++];
    if (strlen(name) >= sizeof f->name || strlen(value) >= sizeof f->value)
        die(EXIT_USAGE, "the field '%s' is too long", name);
    strcpy(f->name, name);
    strcpy(f->value, value);
    f->at = at;
    f->name_at = name_at;
}

/* `how`: 0 fills the table, 1 takes from it, 2 does without. */
static inline void call_build(const struct call *c, struct call_block *block, int how)
{
    uint8_t *at = block->bytes;
    uint32_t in_table = 0, seen = 0;
    for (uint32_t i = 0; i < c->n; i++)
        in_table += !c->fields[i].at;
    if (how == 2)
        at = hpack_put_number(at, 0x20, 3, 0);
    for (uint32_t i = 0; i < c->n; i++) {
        const struct call_field *f = &c->fields[i];
        if (f->at)
            at = hpack_put_index(at, f->at);
        else if (how == 1)
            at = hpack_put_index(at, H2_STATIC + in_table - 1 - seen++);
        else
            at = hpack_put_literal(at, how ? H2_ONCE : H2_INDEXED, f->name_at, f->name, f->value);
    }
    if (c->trace) {
        at = hpack_put_literal(at, H2_ONCE, 0, "traceparent", CALL_TRACE);
        block->trace_at = (size_t)(at - block->bytes) - CALL_TRACE_LEN;
    }
    block->len = (size_t)(at - block->bytes);
}

/* The ten fields of a gRPC call, and `extra` ("name=value"). */
static inline void call_init(struct call *c, const char *path, const char *authority, char **extra, uint32_t n_extra)
{
    call_add(c, 3, 2, ":method", "POST");
    call_add(c, 6, 6, ":scheme", "http");
    call_add(c, 0, 4, ":path", path);
    call_add(c, 0, 1, ":authority", authority);
    call_add(c, 0, 0, "te", "trailers");
    call_add(c, 0, 31, "content-type", "application/grpc");
    call_add(c, 0, 0, "grpc-timeout", "3S");
    call_add(c, 0, 58, "user-agent", "grpc-c-bench/1.0");
    call_add(c, 0, 0, "grpc-accept-encoding", "identity,deflate,gzip");
    call_add(c, 0, 0, "x-user", "bench");
    for (uint32_t i = 0; i < n_extra; i++) {
        char *equals = strchr(extra[i], '=');
        *equals = 0;
        call_add(c, 0, 0, extra[i], equals + 1);
        *equals = '=';
    }
    call_build(c, &c->first, 0);
    call_build(c, &c->steady, 1);
    call_build(c, &c->bare, 2);
    c->random = now_ns();
}

static inline uint64_t call_random(struct call *c)
{
    return c->random = mix(c->random);
}

static inline void call_hex(uint8_t *to, uint64_t v)
{
    for (int i = 0; i < 16; i++)
        to[i] = (uint8_t)"0123456789abcdef"[v >> (60 - 4 * i) & 15];
}

static inline void call_put_trace(struct call *c, uint8_t *to)
{
    call_hex(to + 3, call_random(c));
    call_hex(to + 19, call_random(c));
    call_hex(to + 36, call_random(c));
}

/* All fields by an encoder, whose table changes with each call. */
static inline size_t call_put_indexed(struct call *c, struct mf_hpack_encoder *encoder, uint8_t *to)
{
    uint8_t trace[] = CALL_TRACE, *at = to;
    call_put_trace(c, trace);
    at += mf_hpack_put_begin(encoder, at);
    for (uint32_t i = 0; i < c->n; i++) {
        struct mf_pair pair = {mf_slice_str(c->fields[i].name), mf_slice_str(c->fields[i].value)};
        at += mf_hpack_put(encoder, at, pair, (struct mf_h2_mark){mf_h2_name_of(pair.key), 0});
    }
    struct mf_pair pair = {MF_SLICE("traceparent"), mf_slice_of(trace, CALL_TRACE_LEN)};
    at += mf_hpack_put(encoder, at, pair, (struct mf_h2_mark){mf_h2_name_of(pair.key), 0});
    return (size_t)(at - to);
}

/* The fields of the next call on a connection; `begun`: one went before. Returns their length, at most
 * CALL_BLOCK_MOST. */
static inline size_t call_put(struct call *c, struct h2_conn *conn, struct mf_hpack_encoder *encoder, bool begun, uint8_t *to)
{
    if (c->trace == CALL_TRACE_INDEXED)
        return call_put_indexed(c, encoder, to);
    const struct call_block *block = conn->table < H2_TABLE ? &c->bare : begun ? &c->steady : &c->first;
    memcpy(to, block->bytes, block->len);
    if (block->trace_at)
        call_put_trace(c, to + block->trace_at);
    return block->len;
}
