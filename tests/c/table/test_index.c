/* index: names that come and go, prefixes longest first, and the one for any. */
#include "table/hash.h"
#include "table/mesh.h"
#include "table/writer.h"

static struct mf_table *table;
static struct mf_cluster *even, *odd;

static const char *name_of(int i)
{
    static char name[64];
    snprintf(name, sizeof name, "com.example.Service%d", i);
    return name;
}

static void test_churn(void)
{
    enum { N = 4000 };
    for (int i = 0; i < N; i++)
        CHECK_INT(publish_all(table, name_of(i), MF_SERVICE_EXACT, i % 2 ? odd : even), 0);
    CHECK_INT(mf_table_n_services(table), N);
    for (int i = 0; i < N; i++)
        CHECK_TEXT(goes_to(table, name_of(i)), i % 2 ? "10.0.0.1:1" : "10.0.0.2:1");
    CHECK_TEXT(goes_to(table, "com.example.Service"), "MF_EROUTE_SERVICE");
    CHECK_TEXT(goes_to(table, ""), "MF_EROUTE_SERVICE");
    for (int i = 0; i < N; i += 2)
        CHECK_INT(mf_table_remove(table, S(name_of(i)), MF_SERVICE_EXACT), 0);
    for (int i = 0; i < N; i++)
        CHECK_TEXT(goes_to(table, name_of(i)), i % 2 ? "10.0.0.1:1" : "MF_EROUTE_SERVICE");
    /* Ever new names: the places of removed ones are used again, and the index does not grow without end. */
    size_t mask = atomic_load(&table->live.index)->mask;
    for (int i = 0; i < 10 * N; i++) {
        CHECK_INT(publish_all(table, name_of(N + i), MF_SERVICE_EXACT, even), 0);
        CHECK_INT(mf_table_remove(table, S(name_of(N + i)), MF_SERVICE_EXACT), 0);
    }
    CHECK(atomic_load(&table->live.index)->mask <= mask);
    CHECK_INT(mf_table_n_services(table), N / 2);
    for (int i = 1; i < N; i += 2)
        CHECK_INT(mf_table_remove(table, S(name_of(i)), MF_SERVICE_EXACT), 0);
    CHECK_INT(mf_table_n_services(table), 0);
    CHECK_INT(mf_table_reclaim(table), 0);
}

static void test_patterns(void)
{
    CHECK_INT(publish_all(table, "com.", MF_SERVICE_PREFIX, even), 0);
    CHECK_TEXT(goes_to(table, "com.acme.api.A"), "10.0.0.2:1");
    CHECK_INT(publish_all(table, "com.acme.", MF_SERVICE_PREFIX, odd), 0);
    CHECK_TEXT(goes_to(table, "com.acme.api.A"), "10.0.0.1:1");
    CHECK_TEXT(goes_to(table, "com.acme."), "10.0.0.1:1");
    CHECK_TEXT(goes_to(table, "com.acme"), "10.0.0.2:1");
    CHECK_TEXT(goes_to(table, "com"), "MF_EROUTE_SERVICE");
    CHECK_INT(publish_all(table, "", MF_SERVICE_ANY, odd), 0);
    CHECK_TEXT(goes_to(table, "com"), "10.0.0.1:1");
    CHECK_TEXT(goes_to(table, ""), "10.0.0.1:1");
    CHECK_INT(publish_all(table, "com.acme.api.A", MF_SERVICE_EXACT, even), 0);
    CHECK_TEXT(goes_to(table, "com.acme.api.A"), "10.0.0.2:1");
    CHECK_INT(publish_all(table, "com.acme.", MF_SERVICE_PREFIX, even), 0); /* replaces */
    CHECK_INT(publish_all(table, "com.", MF_SERVICE_PREFIX, odd), 0);
    CHECK_TEXT(goes_to(table, "com.acme.x"), "10.0.0.2:1");
    CHECK_INT(mf_table_n_services(table), 4);
    CHECK_INT(mf_table_remove(table, S("com.acme.api.A"), MF_SERVICE_EXACT), 0);
    CHECK_INT(mf_table_remove(table, S("com.acme."), MF_SERVICE_PREFIX), 0);
    CHECK_INT(mf_table_remove(table, S("com.acme."), MF_SERVICE_PREFIX), MF_EROUTE_SERVICE);
    CHECK_INT(mf_table_remove(table, S("no."), MF_SERVICE_PREFIX), MF_EROUTE_SERVICE);
    CHECK_TEXT(goes_to(table, "com.acme.x"), "10.0.0.1:1");
    for (int i = 0; i < 50; i++) { /* the removed leave the array with the next one that comes */
        char prefix[16];
        snprintf(prefix, sizeof prefix, "p%d.", i);
        CHECK_INT(publish_all(table, prefix, MF_SERVICE_PREFIX, odd), 0);
        CHECK_INT(mf_table_remove(table, S(prefix), MF_SERVICE_PREFIX), 0);
    }
    CHECK(atomic_load(&table->live.patterns)->n <= 2);
    CHECK_INT(publish_all(table, ".Cart", MF_SERVICE_SUFFIX, even), 0);
    CHECK_INT(publish_all(table, ".com", MF_SERVICE_SUFFIX, even), 0);
    CHECK_TEXT(goes_to(table, "org.Cart"), "10.0.0.2:1");
    CHECK_TEXT(goes_to(table, "com.acme.Cart"), "10.0.0.2:1"); /* .Cart is longer than com. */
    CHECK_TEXT(goes_to(table, "com.acme.com"), "10.0.0.1:1");  /* of two alike the prefix */
    CHECK_TEXT(goes_to(table, "a.com"), "10.0.0.2:1");
    CHECK_TEXT(goes_to(table, ".Cart"), "10.0.0.1:1"); /* for longer names alone */
    CHECK_TEXT(goes_to(table, "Cart"), "10.0.0.1:1");
    CHECK_TEXT(goes_to(table, ""), "10.0.0.1:1");
    CHECK_INT(mf_table_remove(table, S(".com"), MF_SERVICE_PREFIX), MF_EROUTE_SERVICE);
    CHECK_INT(mf_table_remove(table, S(".Cart"), MF_SERVICE_SUFFIX), 0);
    CHECK_INT(mf_table_remove(table, S(".com"), MF_SERVICE_SUFFIX), 0);
    CHECK_INT(mf_table_remove(table, S("com."), MF_SERVICE_PREFIX), 0);
    CHECK_INT(mf_table_remove(table, S(""), MF_SERVICE_ANY), 0);
    CHECK_INT(mf_table_remove(table, S("*"), MF_SERVICE_ANY), MF_EROUTE_SERVICE);
    CHECK_TEXT(goes_to(table, "com.acme.x"), "MF_EROUTE_SERVICE");
}

/* Many prepared at once: their places are kept for them, whatever else is published first. */
static void test_reserved(void)
{
    enum { N = 200 };
    struct mf_service *services[N];
    for (int i = 0; i < N; i++) {
        CHECK_INT(mf_service_new(table, S(name_of(i)), MF_SERVICE_EXACT, &services[i]), 0);
        CHECK_INT(mf_table_prepare(table, services[i]), 0);
    }
    CHECK_INT(publish_all(table, "other", MF_SERVICE_EXACT, even), 0);
    for (int i = 0; i < N; i++) {
        fail_at(1);
        if (i % 4)
            CHECK_INT(mf_table_publish(table, services[i]), 0);
        else
            mf_service_free(table, services[i]);
        fail_at(0);
    }
    CHECK_INT(mf_table_n_services(table), 1 + N / 4 * 3);
    CHECK_INT(table->n_reserved, 0);
    CHECK_TEXT(goes_to(table, name_of(1)), "MF_EROUTE_RULE");
}

/* A name of sixteen bytes that has the hash of this one: both halves go into one product. */
static void twin_of(const char name[17], char twin[17])
{
    for (int i = 0; i < 2; i++) {
        uint64_t word;
        memcpy(&word, name + 8 * i, 8);
        word ^= MF_HASH_A ^ MF_HASH_B;
        memcpy(twin + 8 * !i, &word, 8);
    }
    twin[16] = 0;
}

/* Singly and in a batch. */
static void check_both(const char *name, const char *twin, const char *of_name, const char *of_twin)
{
    struct mf_query queries[] = {{.service = S(name)}, {.service = S(twin)}};
    struct mf_route routes[2];
    int rcs[2];
    CHECK_TEXT(goes_to(table, name), of_name);
    CHECK_TEXT(goes_to(table, twin), of_twin);
    mf_route_lookup_batch(table, queries, 2, routes, rcs);
    CHECK_TEXT(rcs[0] == 0 ? routes[0].peer->text : mf_err_name(rcs[0]), of_name);
    CHECK_TEXT(rcs[1] == 0 ? routes[1].peer->text : mf_err_name(rcs[1]), of_twin);
}

/* Two names of one hash are two services, also while only one of them is there. */
static void test_same_hash(void)
{
    const char *name = "com.acme.a.First", *odds = "10.0.0.1:1", *evens = "10.0.0.2:1", *none = "MF_EROUTE_SERVICE";
    char twin[17];
    twin_of(name, twin);
    CHECK(mf_hash(S(name), 0) == mf_hash(S(twin), 0));
    check_both(name, twin, none, none);
    CHECK_INT(publish_all(table, name, MF_SERVICE_EXACT, odd), 0);
    check_both(name, twin, odds, none);
    CHECK_INT(publish_all(table, twin, MF_SERVICE_EXACT, even), 0);
    check_both(name, twin, odds, evens);
    CHECK_INT(mf_table_remove(table, S(name), MF_SERVICE_EXACT), 0);
    check_both(name, twin, none, evens);
    CHECK_INT(mf_table_remove(table, S(twin), MF_SERVICE_EXACT), 0);
    check_both(name, twin, none, none);
}

int main(void)
{
    CHECK_INT(mf_table_new(&table), 0);
    CHECK_INT(make_cluster(table, "odd", &BOX("10.0.0.1:1"), 1, &odd), 0);
    CHECK_INT(make_cluster(table, "even", &BOX("10.0.0.2:1"), 1, &even), 0);
    CHECK_INT(mf_cluster_seal(table, odd), 0);
    CHECK_INT(mf_cluster_seal(table, even), 0);
    test_churn();
    test_patterns();
    test_reserved();
    test_same_hash();
    mf_cluster_give(table, odd);
    mf_cluster_give(table, even);
    mf_table_free(table);
    return test_end("table/index");
}
