#include "table/affinity.h"

#include "table/hash.h"
#include "table/headers.h"
#include "table/match_http.h"

static bool header_text(const struct mf_query *query, struct mf_slice name, struct mf_slice *out)
{
    const struct mf_slice *seen = NULL;
    if (name.len && *(const uint8_t *)name.ptr == ':' && query->http) {
        const struct mf_http_view *http = query->http;
        seen = mf_slice_eq(name, MF_SLICE(":authority")) ? &http->authority
               : mf_slice_eq(name, MF_SLICE(":path"))    ? &http->path
               : mf_slice_eq(name, MF_SLICE(":method"))  ? &http->method
                                                         : NULL;
    } else {
        seen = mf_headers_find(query, name);
    }
    if (!seen || !seen->ptr)
        return false;
    *out = *seen;
    return true;
}

static struct mf_slice trimmed(const uint8_t *from, const uint8_t *to)
{
    while (from < to && (*from == ' ' || *from == '\t'))
        from++;
    while (from < to && (to[-1] == ' ' || to[-1] == '\t'))
        to--;
    return mf_slice_of(from, (size_t)(to - from));
}

/* The first of that name in `a=1; b=2`. */
static bool cookie_in(struct mf_slice field, struct mf_slice name, struct mf_slice *out)
{
    if (field.len == 0)
        return false;
    const uint8_t *at = field.ptr, *end = field.ptr + field.len;
    while (at < end) {
        const uint8_t *stop = memchr(at, ';', (size_t)(end - at));
        stop = stop ? stop : end;
        const uint8_t *sign = memchr(at, '=', (size_t)(stop - at));
        if (sign && mf_slice_eq(trimmed(at, sign), name)) {
            *out = trimmed(sign + 1, stop);
            if (out->len > 1 && *out->ptr == '"' && out->ptr[out->len - 1] == '"')
                *out = mf_slice_of(out->ptr + 1, out->len - 2);
            return true;
        }
        at = stop + 1;
    }
    return false;
}

/* HTTP/2 may send a cookie in pieces, each a field. */
static bool cookie_text(const struct mf_query *query, struct mf_slice name, struct mf_slice *out)
{
    for (uint32_t i = 0; query->http && i < query->n_headers; i++)
        if (same_field(query->headers[i].key, MF_SLICE("cookie")) && cookie_in(query->headers[i].value, name, out))
            return true;
    return false;
}

static __attribute__((noinline)) bool find(const struct mf_policy_balancer *policy, const struct mf_query *query,
                                           uint64_t *hash, struct mf_slice *text)
{
    struct mf_slice found = mf_slice_of(NULL, 0);
    bool any = false;
    switch ((enum mf_hash_by)policy->by) {
    case MF_HASH_HEADER:
        any = header_text(query, policy->key, &found);
        break;
    case MF_HASH_COOKIE:
        any = cookie_text(query, policy->key, &found);
        if (!any && query->hash_by == policy->by && query->hash) { /* it has been given one */
            *hash = query->hash;
            any = true;
        }
        break;
    case MF_HASH_PARAM:
        any = query->http && http_param(query->http->query, policy->key, &found);
        break;
    case MF_HASH_ARGUMENT:
        any = !query->http && query->argument && query->argument(query->of, policy->argument, &found);
        break;
    case MF_HASH_SOURCE:
        *hash = query->hash;
        any = query->hash && query->hash_by == policy->by;
        break;
    }
    if (any && found.ptr)
        *hash = mf_hash(found, 0);
    if (text)
        *text = found;
    return any;
}

bool mf_affinity_find(const struct mf_policy_balancer *policy, const struct mf_query *query, uint64_t *hash,
                      struct mf_slice *text)
{
    if (!policy->plain || text)
        return find(policy, query, hash, text);
    return mf_affinity_plain(policy, query, hash); /* as mostly */
}
