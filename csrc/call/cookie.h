#pragma once
/* cookie: what a call that has none is given, so that its caller's next calls go to the same instance: a value of its
 * connection's own, its hash, and the field of its answer that says it. Source: Envoy's generated cookies. */
#include "call/conn.h"
#include "codec/change.h"
#include "table/balancer.h"

struct mf_cookie;

/* One by `policy` (mf_affinity_makes). `from`: the caller's connection, or NULL: any value. NULL: no memory. */
struct mf_cookie *mf_cookie_new(struct mf_local *local, const struct mf_policy_balancer *policy, const struct mf_conn *from);
void mf_cookie_free(struct mf_cookie *cookie); /* NULL: nothing */
/* As it will be once the caller sends it. */
uint64_t mf_cookie_hash(const struct mf_cookie *cookie);
/* `change` (NULL: none), which outlives it, and the field. */
const struct mf_change *mf_cookie_put(struct mf_cookie *cookie, const struct mf_change *change);
/* What that was. */
const struct mf_change *mf_cookie_beside(const struct mf_cookie *cookie);
