#pragma once
/* match: whether one condition of a rule holds for a request. `http` is the query's. Private. */
#include "table/compiled.h"
#include "table/dfa.h"
#include "table/headers.h"
#include "table/match_http.h"

/* "/service/method" is compared in its four pieces, never built. */
static inline bool path_holds(const struct mf_ccondition *condition, const struct mf_query *query)
{
    const struct mf_slice pieces[] = {MF_SLICE("/"), query->service, MF_SLICE("/"), query->method};
    struct mf_slice rest = condition->value;
    uint32_t state = MF_DFA_START;
    for (int i = 0; i < 4; i++) {
        if (condition->op == MF_OP_REGEX) {
            state = mf_dfa_step(condition->value.ptr, state, pieces[i]);
            continue;
        }
        size_t n = rest.len < pieces[i].len ? rest.len : pieces[i].len;
        if (n && memcmp(rest.ptr, pieces[i].ptr, n) != 0)
            return false;
        if (n < pieces[i].len && condition->op == MF_OP_EXACT)
            return false;
        rest = mf_slice_of(rest.ptr + n, rest.len - n);
    }
    if (condition->op == MF_OP_REGEX)
        return mf_dfa_accepts(condition->value.ptr, state);
    return rest.len == 0;
}

/* `seen` is NULL where there is nothing; its address is NULL where there is something that is no text: then no text
 * holds, not even the empty one. */
static inline bool text_holds(const struct mf_ccondition *condition, const struct mf_slice *seen)
{
    struct mf_slice want = condition->value;
    bool text = seen && seen->ptr;
    switch ((enum mf_op)condition->op) {
    case MF_OP_PRESENT:
        return seen;
    case MF_OP_ABSENT:
        return !seen;
    case MF_OP_EXACT:
        return text && mf_slice_eq(*seen, want);
    case MF_OP_PREFIX:
        return text && seen->len >= want.len && (want.len == 0 || memcmp(seen->ptr, want.ptr, want.len) == 0);
    case MF_OP_REGEX:
        return text && mf_dfa_match(want.ptr, *seen);
    }
    return false;
}

static inline bool argument_of(const struct mf_query *query, uint32_t index, struct mf_slice *out)
{
    return index != MF_NO_ARGUMENT && query->argument && query->argument(query->of, index, out);
}

/* `*text` is the value seen, for the path the method. */
static inline bool holds(const struct mf_ccondition *condition, const struct mf_query *query,
                         const struct mf_http_view *http, struct mf_slice *text)
{
    struct mf_slice found;
    const struct mf_slice *seen = NULL;
    *text = mf_slice_of("", 0);
    switch ((enum mf_field)condition->field) {
    case MF_FIELD_PATH:
        if (http) {
            seen = http_text(&http->path);
            break;
        }
        *text = query->method;
        if (condition->op < MF_OP_PRESENT)
            return path_holds(condition, query);
        return condition->op == MF_OP_PRESENT; /* there always is one */
    case MF_FIELD_METHOD:
        if (http)
            seen = http_text(&http->method);
        else
            seen = query->method.len ? &query->method : NULL;
        break;
    case MF_FIELD_AUTHORITY:
        if (http) {
            seen = http_text(&http->authority);
            if (seen && condition->op < MF_OP_REGEX) {
                *text = *seen;
                return http_same_host(*seen, condition->value, condition->op == MF_OP_PREFIX);
            }
            break;
        }
        seen = mf_headers_find(query, MF_SLICE("target-host"));
        if (!seen || !seen->len)
            seen = &query->service;
        break;
    case MF_FIELD_HEADER:
        seen = mf_headers_find(query, condition->key);
        if (http && seen && condition->op < MF_OP_PRESENT && http_is_list(query, condition->key, seen)) {
            *text = *seen;
            return http_list_holds(condition, query);
        }
        break;
    case MF_FIELD_LABEL:
        seen = query->labels && query->labels[condition->number].len ? &query->labels[condition->number] : NULL;
        break;
    case MF_FIELD_SCHEME:
        seen = http ? http_text(&http->scheme) : NULL;
        break;
    case MF_FIELD_PARAM:
        seen = http && http_param(http->query, condition->key, &found) ? &found : NULL;
        break;
    case MF_FIELD_HTTP:
        seen = http ? &http->path : NULL; /* whatever it is */
        break;
    case MF_FIELD_ARGUMENT:
        seen = !http && argument_of(query, condition->number, &found) ? &found : NULL;
        break;
    case MF_FIELD_NEVER:
    case MF_FIELDS:
        return false;
    }
    if (seen)
        *text = *seen;
    return text_holds(condition, seen);
}
