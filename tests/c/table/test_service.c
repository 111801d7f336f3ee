/* service, compile: what a builder refuses, and fallbacks that point nowhere or in a circle. */
#include "table/mesh.h"

static struct mf_table *table;
static struct mf_cluster *cluster;

static int target(struct mf_service *service, uint16_t fallback)
{
    return mf_service_target(table, service, 0, cluster, MF_TARGET_ALL, S(""), 1, MF_FALLBACK_NO_AVAILABLE, fallback);
}

static void test_refused(void)
{
    struct mf_service *service;
    struct mf_cluster *open;
    CHECK_INT(mf_service_new(table, S("s"), MF_SERVICE_EXACT, &service), 0);
    CHECK_INT(mf_service_match(service, 0), MF_ELIMIT);
    CHECK_INT(target(service, MF_NO_TARGET), MF_ELIMIT);
    CHECK_INT(mf_service_rule(service, 0), 0);
    CHECK_INT(mf_service_rule(service, 0), 1);
    CHECK_INT(mf_service_condition(table, service, 0, 0, MF_FIELD_METHOD, S(""), MF_OP_EXACT, S("m")), MF_ELIMIT);
    CHECK_INT(mf_service_match(service, 0), 0);
    CHECK_INT(mf_service_condition(table, service, 0, 0, MF_FIELD_METHOD, S(""), MF_OP_REGEX, S("m")), MF_ELIMIT);
    CHECK_INT(mf_service_condition(table, service, 0, 0, MF_FIELDS, S(""), MF_OP_EXACT, S("")), MF_ELIMIT);
    CHECK_INT(mf_service_condition(table, service, 0, 0, MF_FIELD_PATH, S(""), MF_OP_ABSENT + 1, S("")), MF_ELIMIT);
    CHECK_INT(mf_service_condition(table, service, 0, 0, MF_FIELD_METHOD, S(""), MF_OP_EXACT, S("m")), 0);
    CHECK_INT(mf_cluster_new(table, S("open"), &open), 0);
    CHECK_INT(mf_service_target(table, service, 0, open, MF_TARGET_ALL, S(""), 1, 0, MF_NO_TARGET), MF_ELIMIT);
    CHECK_INT(mf_service_target(table, service, 0, cluster, MF_TARGET_BASELINE + 1, S(""), 1, 0, 0), MF_ELIMIT);
    CHECK_INT(mf_service_target(table, service, 0, cluster, MF_TARGET_ALL, S(""), 1, 3, 0), MF_ELIMIT);
    CHECK_INT(target(service, MF_NO_TARGET), 0);
    CHECK_INT(target(service, MF_NO_TARGET), 1);
    mf_cluster_give(table, open);
    mf_service_free(table, service);
}

/* The rule's fallbacks, one target each; what publishing says. */
static int with_fallbacks(const uint16_t *fallbacks, int n)
{
    struct mf_service *service;
    CHECK_INT(mf_service_new(table, S("s"), MF_SERVICE_EXACT, &service), 0);
    CHECK_INT(mf_service_rule(service, 0), 0);
    for (int i = 0; i < n; i++)
        CHECK_INT(target(service, fallbacks[i]), i);
    int rc = mf_table_publish(table, service);
    if (rc != 0) {
        CHECK_INT(mf_table_publish(table, service), rc); /* still ours, still wrong */
        mf_service_free(table, service);
    }
    return rc;
}

static void test_fallbacks(void)
{
    enum { END = MF_NO_TARGET, LONG = 3000 };
    static uint16_t chain[LONG];
    CHECK_INT(with_fallbacks((uint16_t[]){0}, 1), MF_ELIMIT);
    CHECK_INT(with_fallbacks((uint16_t[]){1}, 1), MF_ELIMIT);
    CHECK_INT(with_fallbacks((uint16_t[]){1, 0}, 2), MF_ELIMIT);
    CHECK_INT(with_fallbacks((uint16_t[]){1, 2, 1}, 3), MF_ELIMIT);
    CHECK_INT(with_fallbacks((uint16_t[]){END, 3, 1, 2}, 4), MF_ELIMIT);
    CHECK_INT(with_fallbacks((uint16_t[]){END, 0, 0, 2}, 4), 0);
    CHECK_INT(with_fallbacks((uint16_t[]){1, 2, 3, END}, 4), 0);
    CHECK_INT(with_fallbacks((uint16_t[]){END, 0, 1, 2}, 4), 0);
    for (int i = 0; i < LONG; i++)
        chain[i] = (uint16_t)(i + 1);
    chain[LONG - 1] = END;
    CHECK_INT(with_fallbacks(chain, LONG), 0);
    chain[LONG - 1] = 7;
    CHECK_INT(with_fallbacks(chain, LONG), MF_ELIMIT);
}

static void test_number_of_things(void)
{
    struct mf_service *service;
    CHECK_INT(mf_service_new(table, S("s"), MF_SERVICE_EXACT, &service), 0);
    for (int i = 0; i < MF_NO_MATCH; i++)
        if (mf_service_rule(service, 0) != i)
            CHECK(false);
    CHECK_INT(mf_service_rule(service, 0), MF_ELIMIT);
    mf_service_free(table, service);
}

int main(void)
{
    CHECK_INT(mf_table_new(&table), 0);
    CHECK_INT(make_cluster(table, "app", &BOX("10.0.0.1:1"), 1, &cluster), 0);
    CHECK_INT(mf_cluster_seal(table, cluster), 0);
    test_refused();
    test_fallbacks();
    test_number_of_things();
    mf_cluster_give(table, cluster);
    mf_table_free(table);
    return test_end("table/service");
}
