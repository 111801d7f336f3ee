#pragma once
/* match_http: what conditions compare of an HTTP request. Out of line: Dubbo's way has nothing of it. Private. */
#include "table/compiled.h"
#include "table/dfa.h"
#include "table/headers.h"

static inline const struct mf_slice *http_text(const struct mf_slice *text)
{
    return text->ptr ? text : NULL;
}

/* Hosts ignore ASCII case; the port is as it was sent. */
static __attribute__((noinline, unused)) bool http_same_host(struct mf_slice seen, struct mf_slice want, bool prefix)
{
    if (prefix && seen.len > want.len)
        seen.len = want.len;
    return seen.len == want.len && mf_headers_same_name(seen, want, true);
}

/* The first of that name in `a=1&b&c=`; names and values are compared as they are sent, not decoded. */
static __attribute__((noinline, unused)) bool http_param(struct mf_slice query, struct mf_slice name,
                                                         struct mf_slice *out)
{
    if (query.len == 0)
        return false;
    const uint8_t *at = query.ptr, *end = query.ptr + query.len;
    while (at < end) {
        const uint8_t *stop = memchr(at, '&', (size_t)(end - at));
        stop = stop ? stop : end;
        const uint8_t *sign = memchr(at, '=', (size_t)(stop - at));
        if (mf_slice_eq(mf_slice_of(at, (size_t)((sign ? sign : stop) - at)), name)) {
            const uint8_t *value = sign ? sign + 1 : stop;
            *out = mf_slice_of(value, (size_t)(stop - value));
            return true;
        }
        at = stop + 1;
    }
    return false;
}

/* --- a field that comes several times is one list (RFC 9110 section 5.3), the pieces of a cookie are one cookie (RFC 9113
 * section 8.2.3). Of `group` and `version` the last is what counts, as where Dubbo's own stand for them. */

static inline bool same_field(struct mf_slice a, struct mf_slice b)
{
    return a.len == b.len && mf_headers_same_name(a, b, true);
}

/* Whether there is one before the last, `seen`. */
static inline bool http_is_list(const struct mf_query *query, struct mf_slice name, const struct mf_slice *seen)
{
    for (const struct mf_pair *field = query->headers; &field->value != seen; field++)
        if (same_field(field->key, name))
            return !same_field(name, MF_SLICE("group")) && !same_field(name, MF_SLICE("version"));
    return false;
}

/* A text that is compared piece by piece. */
struct pieces {
    struct mf_slice rest; /* of what is wanted */
    uint32_t state;
    bool differs;
};

static inline void feed(struct pieces *pieces, const struct mf_ccondition *condition, struct mf_slice piece)
{
    if (condition->op == MF_OP_REGEX) {
        pieces->state = mf_dfa_step(condition->value.ptr, pieces->state, piece);
        return;
    }
    size_t n = pieces->rest.len < piece.len ? pieces->rest.len : piece.len;
    if ((n && memcmp(pieces->rest.ptr, piece.ptr, n) != 0) || (n < piece.len && condition->op == MF_OP_EXACT))
        pieces->differs = true;
    pieces->rest = mf_slice_of(pieces->rest.ptr + n, pieces->rest.len - n);
}

/* The values in their order, with what stands between them. */
static __attribute__((noinline, unused)) bool http_list_holds(const struct mf_ccondition *condition,
                                                              const struct mf_query *query)
{
    struct pieces pieces = {.rest = condition->value, .state = MF_DFA_START};
    struct mf_slice between = same_field(condition->key, MF_SLICE("cookie")) ? MF_SLICE("; ") : MF_SLICE(",");
    bool first = true;
    for (uint32_t i = 0; i < query->n_headers; i++) {
        if (!same_field(query->headers[i].key, condition->key))
            continue;
        if (!first)
            feed(&pieces, condition, between);
        feed(&pieces, condition, query->headers[i].value);
        first = false;
    }
    if (condition->op == MF_OP_REGEX)
        return mf_dfa_accepts(condition->value.ptr, pieces.state);
    return !pieces.differs && pieces.rest.len == 0;
}
