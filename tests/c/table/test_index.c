/* index: names that come and go, prefixes longest first, and the one for any. */
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
    mf_cluster_give(table, odd);
    mf_cluster_give(table, even);
    mf_table_free(table);
    return test_end("table/index");
}
