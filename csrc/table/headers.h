#pragma once
/* headers: finds a request's header or attachment by name. Of two with one name the last counts, as in the map that the
 * receiver makes of them. Names are compared as they are, or, where the protocol's own ignore it, without ASCII case.
 * Private. */
#include "table/route.h"

static inline bool mf_headers_same_name(struct mf_slice a, struct mf_slice b, bool fold)
{
    if (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0) /* as nearly always */
        return true;
    for (size_t i = 0; fold && i < a.len; i++) {
        uint8_t x = a.ptr[i], y = b.ptr[i];
        if (x == y)
            continue;
        if ((x ^ y) != 0x20 || (uint8_t)((x | 0x20) - 'a') > 'z' - 'a')
            return false;
    }
    return fold;
}

/* The last one's value, or NULL. */
static inline const struct mf_slice *mf_headers_find(const struct mf_query *query, struct mf_slice name)
{
    const struct mf_pair *headers = query->headers;
    if (query->name_lengths && !(query->name_lengths >> name.len % 64 & 1)) /* as for most names */
        return NULL;
    for (uint32_t i = query->n_headers; i-- > 0;)
        if (headers[i].key.len == name.len && mf_headers_same_name(headers[i].key, name, query->fold_names))
            return &headers[i].value;
    return NULL;
}
