#pragma once
/* affinity: the text of a call by which it is hashed, so that equal ones go to one instance. */
#include "table/balancer.h"
#include "table/hash.h"
#include "table/headers.h"

/* Found: true, and its hash, the same in every process. `text` (may be NULL): the text, where there is one. */
bool mf_affinity_find(const struct mf_policy_balancer *policy, const struct mf_query *query, uint64_t *hash,
                      struct mf_slice *text);

/* inline */

/* As mf_headers_same_name, of names of one length: nearly always told by two words. */
static inline bool mf_affinity_same(struct mf_slice a, struct mf_slice b, bool fold)
{
    size_t n = b.len;
    const uint8_t *x = a.ptr, *y = b.ptr;
    if (n - 8 <= 8 && mf_hash_word(x) == mf_hash_word(y) && mf_hash_word(x + n - 8) == mf_hash_word(y + n - 8))
        return true;
    if (n - 4 < 4 && mf_hash_half(x) == mf_hash_half(y) && mf_hash_half(x + n - 4) == mf_hash_half(y + n - 4))
        return true;
    return (fold || n < 4 || n > 16) && mf_headers_same_name(a, b, fold);
}

/* As mf_affinity_find without the text, where the policy is plain. */
static inline bool mf_affinity_plain(const struct mf_policy_balancer *policy, const struct mf_query *query,
                                     uint64_t *hash)
{
    const struct mf_slice name = policy->key;
    if (query->name_lengths && !(query->name_lengths >> name.len % 64 & 1))
        return false;
    for (const struct mf_pair *header = query->headers + query->n_headers; header-- > query->headers;) {
        if (header->key.len != name.len || !mf_affinity_same(header->key, name, query->fold_names))
            continue;
        if (!header->value.ptr)
            return false;
        *hash = mf_hash(header->value, 0);
        return true;
    }
    return false;
}

/* Only whoever has the caller's connection knows it: it says so in the query (hash_by) when asked. */
static inline bool mf_affinity_asks(const struct mf_policy_balancer *policy)
{
    return policy->by == MF_HASH_SOURCE;
}

/* A call of HTTP that has no such cookie is given one by whoever can put it into the answer, who says its hash likewise. */
static inline bool mf_affinity_makes(const struct mf_policy_balancer *policy)
{
    return policy->by == MF_HASH_COOKIE && policy->makes.ptr;
}
