#include "call/cookie.h"

#include "base/mem.h"
#include "base/out.h"
#include "table/hash.h"

enum { DIGITS = 16 };

struct mf_cookie {
    struct mf_change change;
    const struct mf_change *beside;
    struct mf_change_put put;
    uint64_t hash;
    uint8_t text[];
};

/* Of one connection the same, so that calls beside each other, none of which has a cookie yet, go to one instance. */
static uint64_t value_of(struct mf_local *local, const struct mf_conn *from)
{
    struct mf_addr addr = {0};
    if (!from || mf_sock_peer(from->sock.fd, &addr) < 0 || addr.sa.sa_family == AF_UNIX) /* those have no names */
        return from ? mf_hash_mix((uint64_t)(uintptr_t)from ^ MF_HASH_A, MF_HASH_B) : mf_local_random(local);
    return mf_hash(mf_slice_of(&addr.storage, addr.len), MF_HASH_A);
}

struct mf_cookie *mf_cookie_new(struct mf_local *local, const struct mf_policy_balancer *policy, const struct mf_conn *from)
{
    static const char digits[] = "0123456789abcdef";
    uint8_t value[DIGITS];
    uint64_t bits = value_of(local, from);
    for (int i = 0; i < DIGITS; i++)
        value[i] = (uint8_t)digits[bits >> (60 - 4 * i) & 15];
    size_t room = policy->key.len + policy->makes.len + DIGITS + 3;
    struct mf_cookie *cookie = mf_zalloc(sizeof *cookie + room);
    if (!cookie)
        return NULL;
    struct mf_out out = {cookie->text, room, 0};
    mf_out_put(&out, policy->key);
    mf_out_put(&out, MF_SLICE("=\""));
    mf_out_put(&out, mf_slice_of(value, DIGITS));
    mf_out_put(&out, MF_SLICE("\""));
    mf_out_put(&out, policy->makes);
    struct mf_slice name = MF_SLICE("set-cookie");
    cookie->put = (struct mf_change_put){name, name, mf_slice_of(cookie->text, out.len), true};
    cookie->hash = mf_hash(mf_slice_of(value, DIGITS), 0);
    MF_COUNT(local, cookies_made);
    return cookie;
}

void mf_cookie_free(struct mf_cookie *cookie)
{
    mf_free(cookie);
}

uint64_t mf_cookie_hash(const struct mf_cookie *cookie)
{
    return cookie->hash;
}

const struct mf_change *mf_cookie_put(struct mf_cookie *cookie, const struct mf_change *change)
{
    struct mf_change_list *list = &cookie->change.response;
    cookie->beside = change;
    cookie->change = change ? *change : (struct mf_change){0};
    list->levels[list->n_levels++] = (struct mf_change_level){.n_puts = 1, .puts = &cookie->put};
    return &cookie->change;
}

const struct mf_change *mf_cookie_beside(const struct mf_cookie *cookie)
{
    return cookie->beside;
}
