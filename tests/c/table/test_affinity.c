/* affinity: which text of a call is hashed, and which calls have none. */
#include "table/affinity.h"
#include "table/hash.h"
#include "test.h"

static struct mf_policy_balancer policy;
static struct mf_query query;
static struct mf_http_view http;
static struct mf_pair headers[4];
static struct mf_slice text;
static uint64_t hash;

static void look_at(enum mf_hash_by by, const char *key)
{
    policy = (struct mf_policy_balancer){.kind = MF_BALANCER_HASH, .by = (uint8_t)by, .key = mf_slice_str(key)};
    query = (struct mf_query){.headers = headers};
    memset(&http, 0, sizeof http);
}

static void header(const char *name, const char *value)
{
    headers[query.n_headers++] =
        (struct mf_pair){mf_slice_str(name), value ? mf_slice_str(value) : mf_slice_of(NULL, 0)};
}

static bool found(void)
{
    hash = 0;
    return mf_affinity_find(&policy, &query, &hash, &text);
}

static void a_header(void)
{
    look_at(MF_HASH_HEADER, "x-user");
    CHECK(!found());
    header("x-user", "a");
    header("x-user", "b"); /* the last counts */
    CHECK(found());
    CHECK_STR(text, "b");
    CHECK(hash == mf_hash(MF_SLICE("b"), 0));
    header("x-user", NULL); /* a number: no text */
    CHECK(!found());
    look_at(MF_HASH_HEADER, "X-User");
    header("x-user", "a");
    CHECK(!found());
    query.fold_names = true;
    CHECK(found());
    look_at(MF_HASH_HEADER, "x-user");
    header("x-user", "");
    CHECK(found()); /* it is there */
}

/* The quick way to a header finds what the plain one does, however long names are and wherever they differ. */
static void a_name_of_any_length(void)
{
    char name[41], other[41];
    for (size_t n = 1; n <= 40; n++)
        for (size_t at = 0; at <= n; at++)
            for (int fold = 0; fold < 2; fold++) {
                memset(name, 'x', n);
                name[n] = '\0';
                look_at(MF_HASH_HEADER, name);
                policy.plain = true;
                query.fold_names = fold;
                memcpy(other, name, n + 1);
                if (at < n)
                    other[at] = (at + n) % 2 ? 'X' : 'y';
                header("", "b");
                header(other, "a");
                const struct mf_slice *seen = mf_headers_find(&query, policy.key);
                hash = 0;
                CHECK_INT(mf_affinity_find(&policy, &query, &hash, NULL), seen != NULL);
                CHECK(hash == (seen ? mf_hash(*seen, 0) : 0));
            }
}

static void what_is_no_field(void)
{
    look_at(MF_HASH_HEADER, ":authority");
    CHECK(!found());
    query.http = &http;
    CHECK(!found());
    http.authority = MF_SLICE("shop");
    CHECK(found());
    CHECK_STR(text, "shop");
    look_at(MF_HASH_HEADER, ":path");
    query.http = &http;
    http.path = MF_SLICE("/a");
    CHECK(found());
    CHECK_STR(text, "/a");
    look_at(MF_HASH_HEADER, ":method");
    query.http = &http;
    http.method = MF_SLICE("GET");
    CHECK(found());
    look_at(MF_HASH_HEADER, ":scheme");
    query.http = &http;
    http.scheme = MF_SLICE("http");
    CHECK(!found());
}

static void a_cookie(void)
{
    look_at(MF_HASH_COOKIE, "sid");
    header("cookie", "a=1; sid=7; sid=8");
    CHECK(!found()); /* Dubbo has none */
    query.http = &http;
    CHECK(found());
    CHECK_STR(text, "7");
    look_at(MF_HASH_COOKIE, "sid");
    query.http = &http;
    query.fold_names = true;
    header("cookie", "a=1;b");
    header("Cookie", "xsid=2;  sid = \"q\" ");
    CHECK(found());
    CHECK_STR(text, "q");
    look_at(MF_HASH_COOKIE, "sid");
    query.http = &http;
    header("cookie", "");
    header("cookie", "sid");
    header("cookie", NULL);
    CHECK(!found());
    header("cookie", "sid=");
    CHECK(found());
    CHECK_STR(text, "");
}

static void a_parameter(void)
{
    look_at(MF_HASH_PARAM, "q");
    CHECK(!found());
    query.http = &http;
    CHECK(!found());
    http.query = MF_SLICE("a=1&q=2&q=3");
    CHECK(found());
    CHECK_STR(text, "2");
}

static bool argument(void *of, uint32_t index, struct mf_slice *out)
{
    *out = mf_slice_str(of);
    return index == 1;
}

static void arguments(void)
{
    look_at(MF_HASH_ARGUMENT, "");
    CHECK(!found());
    query.argument = argument;
    query.of = "7";
    CHECK(!found());
    policy.argument = 1;
    CHECK(found());
    CHECK_STR(text, "7");
    CHECK(hash == mf_hash(MF_SLICE("7"), 0));
    query.http = &http;
    CHECK(!found());
}

/* Of what the table cannot see the query says the hash, and of what it is. */
static void what_the_query_says(void)
{
    look_at(MF_HASH_HEADER, "h");
    CHECK(!mf_affinity_asks(&policy));
    look_at(MF_HASH_ARGUMENT, "");
    CHECK(!mf_affinity_asks(&policy));
    look_at(MF_HASH_SOURCE, "");
    CHECK(mf_affinity_asks(&policy));
    query.hash = 99;
    CHECK(!found()); /* of something else */
    query.hash_by = MF_HASH_SOURCE;
    CHECK(found());
    CHECK_INT(hash, 99);
    CHECK(!text.ptr);
    query.hash = 0; /* it has none */
    CHECK(!found());
}

int main(void)
{
    a_header();
    a_name_of_any_length();
    what_is_no_field();
    a_cookie();
    a_parameter();
    arguments();
    what_the_query_says();
    return test_end("table/affinity");
}
