/* embed: parses a frame and looks up a route with meshfast.h and libmeshfast.a alone: the core needs no Python. */
#include "meshfast.h"

#include <stdio.h>
#include <string.h>

static int fail(const char *what, int rc)
{
    fprintf(stderr, "%s: %s\n", what, mf_err_text(rc));
    return 1;
}

static int build(struct mf_table *table)
{
    struct mf_cluster *cluster;
    struct mf_service *service;
    struct mf_pair dev1 = {MF_SLICE("env"), MF_SLICE("dev1")};
    int rc = mf_cluster_new(table, MF_SLICE("demo"), &cluster);
    if (rc == 0)
        rc = mf_cluster_add(table, cluster, MF_SLICE("10.0.0.1:20880"), NULL, 0, 1);
    if (rc == 0)
        rc = mf_cluster_add(table, cluster, MF_SLICE("10.0.0.2:20880"), &dev1, 1, 1);
    if (rc == 0)
        rc = mf_cluster_seal(table, cluster);
    if (rc == 0)
        rc = mf_service_new(table, MF_SLICE("com.x.Demo"), MF_SERVICE_EXACT, &service);
    if (rc == 0)
        rc = mf_service_rule(service, 0);
    if (rc == 0)
        rc = mf_service_target(table, service, 0, cluster, MF_TARGET_LABEL, MF_SLICE("env"), 100,
                               MF_FALLBACK_NO_AVAILABLE, 1);
    if (rc == 0)
        rc = mf_service_target(table, service, 0, cluster, MF_TARGET_BASELINE, MF_SLICE("env"), 0,
                               MF_FALLBACK_NO_AVAILABLE, MF_NO_TARGET);
    return rc < 0 ? rc : mf_table_publish(table, service);
}

int main(void)
{
    /* com.x.Demo 1.0.0 hi("bob") with the attachments path and dubbo.tag=dev1 */
    static const uint8_t frame[] = "\xda\xbb\xc2\0\0\0\0\0\0\0\0\x01\0\0\0\x52"
                                   "\x05"
                                   "2.0.2\x0a"
                                   "com.x.Demo\x05"
                                   "1.0.0\x02hi\x12Ljava/lang/String;\x03"
                                   "bobH\x04path\x0a"
                                   "com.x.Demo\x09"
                                   "dubbo.tag\x04"
                                   "dev1Z";
    struct mf_slice in = mf_slice_of(frame, sizeof frame - 1);
    struct mf_dubbo_head head;
    int rc = mf_dubbo_parse_head(in, 8 << 20, &head);
    if (rc < 0)
        return fail("head", rc);

    struct mf_dubbo_request request;
    struct mf_pair attachments[16 + MF_DUBBO_LEADING];
    uint8_t texts[1024];
    struct mf_dubbo_room room = {attachments, 16, sizeof texts, texts};
    const char *why;
    struct mf_slice body = mf_slice_of(in.ptr + rc, in.len - (size_t)rc);
    rc = mf_dubbo_parse_request(head.serialization, body, NULL, &room, &request, &why);
    if (rc < 0)
        return fail(why, rc);

    struct mf_table *table;
    rc = mf_table_new(&table);
    if (rc == 0)
        rc = build(table);
    int env = rc < 0 ? rc : mf_label_intern(table, MF_SLICE("env"));
    if (env < 0)
        return fail("table", env);

    struct mf_slice labels[MF_LABELS] = {0};
    for (uint32_t i = 0; i < request.n_attachments; i++)
        if (mf_slice_eq(attachments[i].key, MF_SLICE("dubbo.tag")))
            labels[env] = attachments[i].value;
    struct mf_query query = {
        .service = request.service,
        .method = request.method,
        .headers = attachments,
        .n_headers = request.n_attachments,
        .labels = labels,
        .now = mf_clock_ns(),
    };
    struct mf_route route;
    int reader = mf_epoch_join(mf_table_epoch(table));
    mf_epoch_online(mf_table_epoch(table), reader);
    rc = mf_route_lookup(table, &query, &route);
    if (rc < 0)
        return fail("route", rc);
    printf("%.*s.%.*s -> %s\n", (int)request.service.len, (const char *)request.service.ptr, (int)request.method.len,
           (const char *)request.method.ptr, route.peer->text);
    int good = strcmp(route.peer->text, "10.0.0.2:20880") == 0;
    mf_epoch_leave(mf_table_epoch(table), reader);
    mf_table_free(table);
    return good ? 0 : 1;
}
