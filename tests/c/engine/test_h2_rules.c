/* h2_request, h2_shown, match_http: what a rule asks of a field is asked of all that came by its name. */
#include "h2_mesh.h"

/* The only rule asks for this. */
static void asked_for(const char *name, const char *value)
{
    struct mf_cluster *cluster;
    struct mf_service *service;
    mesh_open(MF_OUTBOUND, 1, NULL);
    NEED(mf_cluster_new(mesh.table, MF_SLICE("other"), &cluster));
    NEED(mf_cluster_add(mesh.table, cluster, MF_SLICE("127.0.0.1:1"), NULL, 0, 1));
    NEED(mf_cluster_seal(mesh.table, cluster));
    NEED(mf_service_new(mesh.table, MF_SLICE("svc"), MF_SERVICE_EXACT, &service));
    NEED(mf_service_rule(service, 0));
    NEED(mf_service_match(service, 0));
    NEED(mf_service_condition(mesh.table, service, 0, 0, MF_FIELD_HEADER, mf_slice_str(name), MF_OP_EXACT,
                              mf_slice_str(value)));
    NEED(mf_service_target(mesh.table, service, 0, cluster, MF_TARGET_ALL, MF_SLICE(""), 100, MF_FALLBACK_NO_AVAILABLE,
                           MF_NO_TARGET));
    NEED(mf_table_publish(mesh.table, service));
    mf_cluster_give(mesh.table, cluster);
}

/* Three times, as what comes again is recalled. */
static void passes(struct peer *a, uint32_t id, const char *head)
{
    for (uint32_t i = 0; i < 3; i++, id += 2) {
        say_head(a, id, head, true);
        settle();
        CHECK_STR(mf_slice_str(told(a, id)), "");
    }
}

static void none(struct peer *a, uint32_t id, const char *head)
{
    for (uint32_t i = 0; i < 3; i++, id += 2) {
        say_head(a, id, head, true);
        settle();
        CHECK(strstr(told(a, id), "grpc-status=12 "));
    }
}

static void test_repeats(void)
{
    asked_for("x-user", "a,b");
    struct peer *a = caller();
    passes(a, 1, CALL "\nx-user: a\nx-user: b");
    passes(a, 7, CALL "\nx-user: a,b");
    none(a, 13, CALL "\nx-user: b");
    none(a, 19, CALL "\nx-user: b\nx-user: a");
    none(a, 25, CALL "\nx-user: a\nx-user: b\nx-user: c");
    mesh_close();
}

static void test_cookies(void)
{
    asked_for("cookie", "a=1; b=2");
    struct peer *a = caller();
    passes(a, 1, CALL "\ncookie: a=1\nx: y\ncookie: b=2");
    none(a, 7, CALL "\ncookie: a=1");
    mesh_close();
}

/* Triple's own stand for them, and of what is just called so the last counts. */
static void test_group(void)
{
    asked_for("group", "g");
    struct peer *a = caller();
    passes(a, 1, CALL "\ntri-service-group: g");
    passes(a, 7, CALL "\ngroup: f\ngroup: g");
    none(a, 13, CALL "\ngroup: g\ngroup: f");
    none(a, 19, CALL "\ngroup: g\ntri-consumer-appname: x");
    mesh_close();
}

int main(void)
{
    test_repeats();
    test_cookies();
    test_group();
    return test_end("h2_rules");
}
