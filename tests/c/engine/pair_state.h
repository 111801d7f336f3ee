#pragma once
/* pair_state: what is known of each peer of an engine (pair.h): what it is owed, what it was asked, and the marks by
 * which a question and its answer are known. */
#include "codec/dubbo.h"
#include "codec/hessian.h"
#include "fake.h"
#include "call/conn.h"
#include "engine/engine.h"
#include "call/relay.h"

#ifndef PAIR_ASKED
#define PAIR_ASKED 256
#endif
enum { PAIR_DUE = 128, PAIR_MARK = 8 };

struct due {
    uint64_t id;
    bool event;
};

/* How far one direction of a connection has been read here. */
struct reader {
    struct fake_bytes rest; /* of a frame that is not whole */
    uint64_t skip;
    bool over;              /* nothing behind this means anything */
};

struct side {
    struct reader said, heard; /* what the peer sent; what the engine sent it */
    bool opaque, decided;      /* plain TCP */
    struct fake_bytes sent;    /* opaque, and the first byte: all that the peer sent */
    size_t n_heard;
    struct due due[PAIR_DUE];
    int n_due;
    bool counted;              /* `due` has had room for all */
};

/* A request that reached a provider. */
struct asked {
    uint64_t id;
    int up;                 /* the number of its connection */
    int mark;               /* of pair.marks, or -1 */
    bool two_way, answered;
};

/* What one request is known by, and its answer. */
struct mark {
    uint8_t question[PAIR_MARK], answer[PAIR_MARK];
    size_t at;              /* of the question in its frame */
    int down;
    uint64_t id;
    int delivered;
};

static struct {
    struct mf_table *table;
    struct mf_trace *trace;
    struct mf_engine *engine;
    struct mf_limits limits;
    struct side sides[FAKE_CONNS];
    struct asked asked[PAIR_ASKED];
    struct mark marks[PAIR_ASKED];
    int n_asked, n_marks;
    uint64_t max_body;
} pair;

static uint64_t pair_get(const uint8_t *p, int n)
{
    uint64_t v = 0;
    while (n--)
        v = v << 8 | *p++;
    return v;
}

/* --- marks */

static void pair_mark(uint8_t text[PAIR_MARK], char kind, int number)
{
    uint64_t x = (uint64_t)number * 0x9e3779b97f4a7c15 + (uint8_t)kind;
    x ^= x >> 29;
    x *= 0xbf58476d1ce4e5b9;
    for (int i = 0; i < PAIR_MARK; i++, x >>= 8)
        text[i] = (uint8_t)(0x21 + (x & 0x3f)); /* one byte each in Hessian2 */
}

/* Not memcmp: a fuzzer looks over its shoulder. */
static bool pair_bears(const uint8_t *frame, size_t len, size_t at, const uint8_t mark[PAIR_MARK])
{
    if (len < at + PAIR_MARK)
        return false;
    for (int k = 0; k < PAIR_MARK; k++)
        if (mark[k] != frame[at + k])
            return false;
    return true;
}
