/* dispatch, govern, guarding: a call that waits for a connection and finds nobody else waits on as it did: counted where it
 * was, each count once, and none is left behind. */
#define FAKE_CONNS 64
#define TOLD 1024
#include "h2_mesh.h"
#include "table/guard.h"

#define FAIL ":status: 503"
enum { MOST = 10, ERRORS = 1 };

static void publish_guarded(void)
{
    static const char *const addrs[] = {"127.0.0.1:1", "127.0.0.1:2"};
    struct mf_policy policy = {.guarded = true, .breaks = true, .ejects = true,
                               .breaker = {.most = {MOST, MOST, MOST, MOST}},
                               .outlier = {.errors = ERRORS, .max_percent = 100, .interval = 1, .base = 1, .longest = 1}};
    struct mf_cluster *cluster;
    struct mf_service *service;
    NEED(mf_cluster_new(mesh.table, MF_SLICE("app"), &cluster));
    for (int i = 0; i < 2; i++)
        NEED(mf_cluster_add(mesh.table, cluster, mf_slice_str(addrs[i]), NULL, 0, 1));
    NEED(mf_cluster_policy(mesh.table, cluster, MF_SLICE(""), &policy));
    NEED(mf_cluster_seal(mesh.table, cluster));
    NEED(mf_service_new(mesh.table, MF_SLICE("svc"), MF_SERVICE_EXACT, &service));
    NEED(mf_service_rule(service, 0));
    NEED(mf_service_target(mesh.table, service, 0, cluster, MF_TARGET_ALL, MF_SLICE(""), 1, MF_FALLBACK_NO_AVAILABLE,
                           MF_NO_TARGET));
    NEED(mf_table_publish(mesh.table, service));
    mf_cluster_give(mesh.table, cluster);
}

static struct mf_guard_told seen;

static void tell(void *arg, struct mf_guard *guard)
{
    (void)arg;
    mf_guard_tell(guard, &seen);
}

static void sum_in_flight(void *arg, struct mf_peer *peer)
{
    *(uint64_t *)arg += mf_load_relaxed(&peer->in_flight);
}

static void check_counted(uint64_t calls, uint64_t waiting)
{
    uint64_t in_flight = 0;
    mf_table_each_guard(mesh.table, tell, NULL);
    mf_table_each_peer(mesh.table, sum_in_flight, &in_flight);
    CHECK_INT(seen.active, calls);
    CHECK_INT(seen.now[MF_BREAKER_REQUESTS], calls);
    CHECK_INT(seen.now[MF_BREAKER_PENDING], waiting);
    CHECK_INT(in_flight, calls);
}

/* `how`: what becomes of it in the end. */
static void test_waits_on(char how)
{
    mesh_open(MF_OUTBOUND, 2, NULL);
    publish_guarded();
    struct peer *a = caller();
    say_head(a, 1, CALL, true);
    settle();
    check_counted(1, 1);
    fake.refuse = ECONNREFUSED; /* the other one, once it is asked */
    pass(600);
    CHECK(COUNTED(calls_retried) > 0);
    check_counted(1, 1);
    fake.refuse = 0;
    if (how == 'c') {
        say_rst(a, 1, MF_H2_CANCEL);
        settle();
    } else if (how == 't') {
        pass(60000);
    } else {
        struct peer *b = provider();
        CHECK_TOLD(b, 1, T_CALL "|");
        check_counted(1, 0);
        say_head(b, 1, how == 'e' ? FAIL : OK, how == 'e');
        if (how != 'e')
            say_head(b, 1, DONE, true);
        settle();
    }
    check_counted(0, 0);
    /* It is judged, too, as who refused was. */
    CHECK_INT(seen.ejections[MF_OUTLIER_ERRORS], how == 'e' || how == 't' ? 2 : 1);
    mesh_close();
}

int main(void)
{
    test_waits_on('a');
    test_waits_on('e');
    test_waits_on('c');
    test_waits_on('t');
    return test_end("h2_back");
}
