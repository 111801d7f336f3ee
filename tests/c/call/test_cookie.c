/* cookie: what a call is given, that its hash is that of what its caller will send, and what it leaves of a rule's change. */
#include "call/cookie.h"

#include "bare.h"
#include "table/affinity.h"
#include "table/route.h"

#include <netinet/in.h>
#include <sys/socket.h>

static const struct mf_policy_balancer policy = {
    .kind = MF_BALANCER_HASH, .by = MF_HASH_COOKIE, .key = MF_SLICE("sid"), .makes = MF_SLICE("; Path=/; HttpOnly")};

/* What it says of a call that goes on by `change`. */
static struct mf_slice said(struct mf_cookie *cookie, const struct mf_change *change)
{
    const struct mf_change *made = mf_cookie_put(cookie, change);
    const struct mf_change_level *last = &made->response.levels[made->response.n_levels - 1];
    CHECK(mf_cookie_beside(cookie) == change);
    CHECK_INT(last->n_puts, 1);
    CHECK_STR(last->puts[0].lower, "set-cookie");
    CHECK(last->puts[0].beside);
    return last->puts[0].value;
}

/* The lookup of its caller's next call, which sends it, finds the same hash. */
static void comes_back(struct mf_local *local, const struct mf_conn *from)
{
    struct mf_cookie *cookie = mf_cookie_new(local, &policy, from);
    struct mf_slice field = said(cookie, NULL), sent = mf_slice_of(field.ptr, 22);
    CHECK_INT(field.len, 4 + 18 + policy.makes.len);
    CHECK(memcmp(field.ptr, "sid=\"", 5) == 0 && field.ptr[21] == '"');
    CHECK(memcmp(field.ptr + 22, policy.makes.ptr, policy.makes.len) == 0);
    struct mf_pair header = {MF_SLICE("cookie"), sent};
    struct mf_http_view http = {0};
    struct mf_query query = {.headers = &header, .n_headers = 1, .http = &http};
    uint64_t hash = 0;
    CHECK(mf_affinity_find(&policy, &query, &hash, NULL));
    CHECK(hash == mf_cookie_hash(cookie));
    query.n_headers = 0;
    query.hash_by = MF_HASH_COOKIE; /* as it is asked for again in this call */
    query.hash = mf_cookie_hash(cookie);
    hash = 0;
    CHECK(mf_affinity_find(&policy, &query, &hash, NULL));
    CHECK(hash == mf_cookie_hash(cookie));
    query.hash = 0; /* there was no memory for one */
    CHECK(!mf_affinity_find(&policy, &query, &hash, NULL));
    mf_cookie_free(cookie);
}

static void beside_a_change(struct mf_local *local)
{
    const struct mf_change_put put = {MF_SLICE("x-a"), MF_SLICE("x-a"), MF_SLICE("b"), false};
    struct mf_change change = {.rewrite.authority = MF_SLICE("other")};
    change.response.n_levels = 2; /* as many as rules have */
    change.response.levels[0] = change.response.levels[1] = (struct mf_change_level){.n_puts = 1, .puts = &put};
    struct mf_cookie *cookie = mf_cookie_new(local, &policy, NULL);
    for (int again = 0; again < 3; again++) { /* it is tried again */
        said(cookie, &change);
        const struct mf_change *made = mf_cookie_put(cookie, &change);
        CHECK_INT(made->response.n_levels, 3);
        CHECK(made->response.levels[1].puts == &put);
        CHECK_STR(made->rewrite.authority, "other");
    }
    said(cookie, NULL);
    CHECK_INT(mf_cookie_put(cookie, NULL)->response.n_levels, 1);
    mf_cookie_free(cookie);
}

/* A connection's calls are given the same, another's another. */
static void of_connections(struct mf_local *local)
{
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    CHECK_INT(bind(listener, (struct sockaddr *)&at, sizeof at), 0);
    CHECK_INT(listen(listener, 4), 0);
    CHECK_INT(getsockname(listener, (struct sockaddr *)&at, &len), 0);
    uint64_t hashes[2];
    int ends[4];
    for (int i = 0; i < 2; i++) {
        ends[i] = socket(AF_INET, SOCK_STREAM, 0);
        CHECK_INT(connect(ends[i], (struct sockaddr *)&at, sizeof at), 0);
        struct mf_conn conn = {.sock.fd = ends[2 + i] = accept(listener, NULL, NULL)};
        struct mf_cookie *one = mf_cookie_new(local, &policy, &conn), *same = mf_cookie_new(local, &policy, &conn);
        hashes[i] = mf_cookie_hash(one);
        CHECK(mf_cookie_hash(same) == hashes[i]);
        mf_cookie_free(one);
        mf_cookie_free(same);
        comes_back(local, &conn);
    }
    CHECK(hashes[0] != hashes[1]);
    for (int i = 0; i < 4; i++)
        close(ends[i]);
    close(listener);
}

int main(void)
{
    static struct bare bare;
    const char *why;
    struct mf_loop *loop;
    CHECK_INT(mf_loop_new(&(struct mf_loop_options){.backend = MF_LOOP_EPOLL}, &loop, &why), 0);
    open_bare(&bare, loop, 16);
    struct mf_cookie *first = mf_cookie_new(&bare.local, &policy, NULL), *second = mf_cookie_new(&bare.local, &policy, NULL);
    CHECK(mf_cookie_hash(first) != mf_cookie_hash(second));
    mf_cookie_free(first);
    mf_cookie_free(second);
    mf_cookie_free(NULL);
    comes_back(&bare.local, NULL);
    beside_a_change(&bare.local);
    of_connections(&bare.local);
    close_bare(&bare);
    mf_loop_free(loop);
    return test_end("cookie");
}
