/* peer: one object per address, small ids that are used again, references from any side. */
#include "table/mesh.h"

static struct mf_peer *intern(struct mf_table *table, const char *text)
{
    struct mf_addr addr;
    CHECK_INT(mf_addr_parse(S(text), &addr), 0);
    return mf_peer_intern(table, &addr);
}

static void test_identity(void)
{
    struct mf_table *table;
    CHECK_INT(mf_table_new(&table), 0);
    struct mf_peer *a = intern(table, "10.0.0.1:80"), *b = intern(table, "10.0.0.1:81");
    struct mf_peer *again = intern(table, "tcp://10.0.0.1:80"), *u = intern(table, "unix:///run/a.sock");
    CHECK(a == again && a != b && u != a);
    CHECK_TEXT(a->text, "10.0.0.1:80");
    CHECK_TEXT(u->text, "unix:///run/a.sock");
    CHECK(a->id == 0 && b->id == 1 && u->id == 2);
    CHECK_INT((uintptr_t)a % MF_CACHE_LINE, 0);
    mf_peer_give(table, a);
    mf_table_reclaim(table);
    CHECK_INT(n_peers(table), 3); /* `again` still holds it */
    mf_peer_give(table, again);
    CHECK_INT(n_peers(table), 3); /* only reclaim frees */
    mf_table_reclaim(table);
    CHECK_INT(n_peers(table), 2);
    struct mf_peer *c = intern(table, "10.0.0.2:80");
    CHECK_INT(c->id, 0);
    mf_table_free(table);
}

static void test_comes_back(void)
{
    struct mf_table *table;
    CHECK_INT(mf_table_new(&table), 0);
    struct mf_peer *a = intern(table, "10.0.0.1:80");
    mf_peer_set_down(a, 500);
    mf_peer_give(table, a);
    struct mf_peer *again = intern(table, "10.0.0.1:80"); /* before the writer looked */
    CHECK(a == again);
    mf_table_reclaim(table);
    CHECK_INT(n_peers(table), 1);
    CHECK(!mf_peer_available(again, 499)); /* its health is kept */
    CHECK(mf_peer_available(again, 500));
    mf_peer_set_up(again);
    CHECK(mf_peer_available(again, 0));
    mf_peer_give(table, again);

    /* Unlinked, but a reader may still see it: the address gets a new object, with an id of its own. */
    int reader = mf_epoch_join(mf_table_epoch(table));
    mf_epoch_online(mf_table_epoch(table), reader);
    mf_table_reclaim(table);
    CHECK_INT(n_peers(table), 0);
    struct mf_peer *other = intern(table, "10.0.0.1:80");
    CHECK(other != again && other->id != again->id);
    mf_epoch_leave(mf_table_epoch(table), reader);
    mf_table_reclaim(table);
    CHECK_INT(n_peers(table), 1);
    mf_table_free(table);
}

static void test_listed(void)
{
    struct mf_table *table;
    struct mf_cluster *one, *two;
    CHECK_INT(mf_table_new(&table), 0);
    CHECK_INT(make_cluster(table, "one", &BOX("10.0.0.1:80"), 1, &one), 0);
    CHECK_INT(make_cluster(table, "two", &BOX("10.0.0.1:80"), 1, &two), 0);
    struct mf_peer *peer = intern(table, "10.0.0.1:80");
    CHECK(mf_peer_listed(peer));
    mf_cluster_give(table, one);
    CHECK(mf_peer_listed(peer));
    mf_cluster_give(table, two);
    CHECK(!mf_peer_listed(peer));
    mf_peer_give(table, peer);
    mf_table_free(table);
}

static void test_many(void)
{
    enum { N = 3000 };
    static struct mf_peer *peers[N];
    struct mf_table *table;
    char text[32];
    CHECK_INT(mf_table_new(&table), 0);
    for (int i = 0; i < N; i++) {
        snprintf(text, sizeof text, "10.1.%d.%d:80", i / 200, i % 200);
        peers[i] = intern(table, text);
    }
    CHECK_INT(n_peers(table), N);
    uint64_t cursor = 0;
    int n = 0, pieces = 1;
    for (; mf_table_next_peers(table, &cursor, count_peer, &n, 1000); pieces++)
        CHECK_INT(n, pieces * 1000);
    CHECK_INT(pieces, 3);
    CHECK_INT(n, N);
    CHECK(!mf_table_next_peers(table, &cursor, count_peer, &n, 1000));
    for (int i = 0; i < N; i++) {
        snprintf(text, sizeof text, "10.1.%d.%d:80", i / 200, i % 200);
        CHECK(intern(table, text) == peers[i]);
        mf_peer_give(table, peers[i]);
        if (i % 3 == 0)
            mf_peer_give(table, peers[i]);
    }
    mf_table_reclaim(table);
    CHECK_INT(n_peers(table), N - N / 3);
    mf_table_free(table);
}

int main(void)
{
    test_identity();
    test_comes_back();
    test_listed();
    test_many();
    return test_end("table/peer");
}
