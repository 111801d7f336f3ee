/* cluster: what may be added, and how instances fall into groups. */
#include "table/mesh.h"
#include "table/writer.h"

static uint32_t size_of(const struct mf_group *group)
{
    return group ? group->n : 999;
}

static const struct mf_group *value_of(struct mf_by_label *by, const char *value)
{
    for (uint32_t i = 0; i <= by->mask; i++)
        if (by->places[i].group && mf_slice_eq(mf_group_name(by->places[i].group), S(value)))
            return by->places[i].group;
    return NULL;
}

static void test_groups(void)
{
    struct mf_table *table;
    struct mf_cluster *cluster;
    struct box boxes[] = {BOX("10.0.0.1:1", 1, "env", "red"), BOX("10.0.0.2:1", 5, "env", "red", "zone", "a"),
                          BOX("10.0.0.3:1", 1, "zone", "a"), BOX("10.0.0.4:1"), BOX("10.0.0.5:1", 1, "env", "")};
    struct mf_pair red_a[] = {{S("env"), S("red")}, {S("zone"), S("a")}};
    CHECK_INT(mf_table_new(&table), 0);
    CHECK_INT(make_cluster(table, "app", boxes, 5, &cluster), 0);
    CHECK_INT(mf_cluster_subset(table, cluster, S("both"), red_a, 2), 0);
    CHECK_INT(mf_cluster_subset(table, cluster, S("all"), NULL, 0), 0);
    CHECK_INT(mf_cluster_subset(table, cluster, S("all"), red_a, 1), -EEXIST);
    CHECK_INT(mf_cluster_subset(table, cluster, S("none"), &(struct mf_pair){S("env"), S("blue")}, 1), 0);
    CHECK_INT(mf_cluster_seal(table, cluster), 0);
    CHECK_INT(mf_cluster_seal(table, cluster), 0);
    CHECK_INT(mf_cluster_add(table, cluster, S("10.0.0.9:1"), NULL, 0, 1), MF_ECLOSED);
    CHECK_INT(mf_cluster_subset(table, cluster, S("late"), NULL, 0), MF_ECLOSED);
    CHECK_INT(size_of(cluster->all), 5);
    CHECK_INT(mf_group_total(cluster->all), 9);
    CHECK_INT(cluster->all->each, 0);
    CHECK_INT(size_of(mf_cluster_find_subset(cluster, S("both"))), 1);
    CHECK_INT(mf_cluster_find_subset(cluster, S("both"))->each, 5);
    CHECK_INT(size_of(mf_cluster_find_subset(cluster, S("all"))), 5);
    CHECK_INT(size_of(mf_cluster_find_subset(cluster, S("none"))), 0);
    CHECK(!mf_cluster_find_subset(cluster, S("late")));

    struct mf_by_label *env = mf_cluster_by_label(table, cluster, (uint32_t)mf_label_intern(table, S("env")));
    CHECK_INT(size_of(value_of(env, "red")), 2);
    CHECK_INT(size_of(value_of(env, "")), 1);
    CHECK(value_of(env, "both") == mf_cluster_find_subset(cluster, S("both")));
    CHECK(!value_of(env, "blue"));
    CHECK_INT(size_of(env->baseline), 2);
    CHECK_STR(mf_group_name(env->baseline), "baseline");
    CHECK(env == mf_cluster_by_label(table, cluster, 0));
    struct mf_by_label *lane = mf_cluster_by_label(table, cluster, (uint32_t)mf_label_intern(table, S("lane")));
    CHECK_INT(size_of(lane->baseline), 5);
    CHECK_INT(lane->n_groups, 3); /* the declared subsets */
    mf_cluster_give(table, cluster);
    mf_table_free(table);
}

/* A declared subset of the value's name hides the instances that carry the value. */
static void test_subset_wins(void)
{
    struct mf_table *table;
    struct mf_cluster *cluster;
    struct box boxes[] = {BOX("10.0.0.1:1", 1, "env", "red"), BOX("10.0.0.2:1", 1, "zone", "a")};
    CHECK_INT(mf_table_new(&table), 0);
    CHECK_INT(make_cluster(table, "app", boxes, 2, &cluster), 0);
    CHECK_INT(mf_cluster_subset(table, cluster, S("red"), &(struct mf_pair){S("zone"), S("a")}, 1), 0);
    CHECK_INT(mf_cluster_seal(table, cluster), 0);
    struct mf_by_label *env = mf_cluster_by_label(table, cluster, (uint32_t)mf_label_intern(table, S("env")));
    CHECK_INT(env->n_groups, 1);
    CHECK_TEXT(value_of(env, "red")->peers[0]->text, "10.0.0.2:1");
    mf_cluster_give(table, cluster);
    mf_table_free(table);
}

/* By number, whatever they carry; no label's value names it. */
static void test_members(void)
{
    struct mf_table *table;
    struct mf_cluster *cluster;
    struct box boxes[] = {BOX("10.0.0.1:1", 1, "env", "red"), BOX("10.0.0.2:1", 5), BOX("10.0.0.3:1", 2, "env", "x & y"),
                          BOX("10.0.0.2:1", 5)};
    const uint32_t some[] = {1, 3}, twice[] = {1, 1}, down[] = {3, 1}, beyond[] = {1, 4};
    CHECK_INT(mf_table_new(&table), 0);
    CHECK_INT(make_cluster(table, "app", boxes, 4, &cluster), 0);
    CHECK_INT(mf_cluster_subset_of(table, cluster, S("x & y"), some, 2), 0);
    CHECK_INT(mf_cluster_subset_of(table, cluster, S("nobody"), NULL, 0), 0);
    CHECK_INT(mf_cluster_subset(table, cluster, S("red"), &(struct mf_pair){S("env"), S("red")}, 1), 0);
    CHECK_INT(mf_cluster_subset_of(table, cluster, S("red"), some, 1), -EEXIST);
    CHECK_INT(mf_cluster_subset_of(table, cluster, S("twice"), twice, 2), MF_ELIMIT);
    CHECK_INT(mf_cluster_subset_of(table, cluster, S("down"), down, 2), MF_ELIMIT);
    CHECK_INT(mf_cluster_subset_of(table, cluster, S("beyond"), beyond, 2), MF_ELIMIT);
    CHECK_INT(mf_cluster_add(table, cluster, S("10.0.0.9:1"), NULL, 0, 1), 0);
    CHECK_INT(mf_cluster_seal(table, cluster), 0);
    CHECK_INT(mf_cluster_subset_of(table, cluster, S("late"), some, 2), MF_ECLOSED);
    const struct mf_group *group = mf_cluster_find_subset(cluster, S("x & y"));
    CHECK_INT(size_of(group), 2);
    CHECK_INT(group->each, 5);
    CHECK(group->peers[0] == group->peers[1]);
    CHECK_TEXT(group->peers[0]->text, "10.0.0.2:1");
    CHECK_INT(size_of(mf_cluster_find_subset(cluster, S("nobody"))), 0);
    CHECK_INT(size_of(mf_cluster_find_subset(cluster, S("red"))), 1);
    struct mf_by_label *env = mf_cluster_by_label(table, cluster, (uint32_t)mf_label_intern(table, S("env")));
    CHECK_INT(env->n_groups, 2);
    CHECK(value_of(env, "red") == mf_cluster_find_subset(cluster, S("red")));
    CHECK_TEXT(value_of(env, "x & y")->peers[0]->text, "10.0.0.3:1");
    CHECK(!value_of(env, "nobody"));
    mf_cluster_give(table, cluster);
    mf_table_free(table);
}

static void test_refused(void)
{
    struct mf_table *table;
    struct mf_cluster *cluster;
    CHECK_INT(mf_table_new(&table), 0);
    CHECK_INT(mf_cluster_new(table, S("app"), &cluster), 0);
    CHECK_INT(mf_cluster_add(table, cluster, S("app:1"), NULL, 0, 1), MF_EADDR);
    CHECK_INT(mf_cluster_add(table, cluster, S("10.0.0.1:1"), NULL, 0, 0), MF_ELIMIT);
    CHECK_INT(mf_cluster_add(table, cluster, S("10.0.0.1:1"), NULL, 0, 65536), MF_ELIMIT);
    CHECK_INT(mf_cluster_add(table, cluster, S("10.0.0.1:1"), NULL, 0, 65535), 0);
    CHECK_INT(n_peers(table), 1);
    mf_cluster_give(table, cluster);
    mf_table_reclaim(table);
    CHECK_INT(n_peers(table), 0);
    mf_table_free(table);
}

static void test_many_values(void)
{
    enum { N = 500 };
    struct mf_table *table;
    struct mf_cluster *cluster;
    char addr[32], value[16];
    CHECK_INT(mf_table_new(&table), 0);
    CHECK_INT(mf_cluster_new(table, S("app"), &cluster), 0);
    for (int i = 0; i < N; i++) {
        snprintf(addr, sizeof addr, "10.0.%d.%d:1", i / 100, i % 100);
        snprintf(value, sizeof value, "env%d", i / 2);
        struct mf_pair env = {S("env"), S(value)};
        CHECK_INT(mf_cluster_add(table, cluster, S(addr), &env, 1, 1), 0);
    }
    CHECK_INT(mf_cluster_seal(table, cluster), 0);
    struct mf_by_label *env = mf_cluster_by_label(table, cluster, (uint32_t)mf_label_intern(table, S("env")));
    CHECK_INT(env->n_groups, N / 2);
    for (int i = 0; i < N / 2; i++) {
        snprintf(value, sizeof value, "env%d", i);
        CHECK_INT(size_of(value_of(env, value)), 2);
    }
    CHECK_INT(env->baseline->n, 0);
    mf_cluster_give(table, cluster);
    mf_table_free(table);
}

int main(void)
{
    test_groups();
    test_subset_wins();
    test_members();
    test_refused();
    test_many_values();
    return test_end("table/cluster");
}
