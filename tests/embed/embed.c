/* embed: reads a Dubbo2 frame and an HTTP/2 header block and looks their routes up, with meshfast.h and libmeshfast.a alone:
 * the core needs no Python. */
#include "meshfast.h"

#include <errno.h>
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

static int route(struct mf_table *table, const struct mf_query *query)
{
    struct mf_route route;
    int rc = mf_route_lookup(table, query, &route);
    if (rc < 0)
        return fail("route", rc);
    printf("%.*s.%.*s -> %s\n", (int)query->service.len, (const char *)query->service.ptr, (int)query->method.len,
           (const char *)query->method.ptr, route.peer->text);
    return strcmp(route.peer->text, "10.0.0.2:20880") == 0 ? 0 : 1;
}

static int dubbo(struct mf_table *table, int env)
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
    return route(table, &query);
}

enum { FIELDS = 32, LIST = 4096 };

/* Of a connection that has a decoder: a block becomes fields, those a request, that what policy looks at. */
static int grpc_block(struct mf_table *table, struct mf_hpack_decoder *decoder, struct mf_slice block)
{
    struct mf_pair fields[FIELDS], pairs[MF_H2_SHOWN_ROOM(FIELDS)];
    struct mf_h2_mark marks[FIELDS];
    uint8_t texts[LIST], room[MF_H2_SCRATCH];
    struct mf_hpack_room caps = {fields, marks, texts, sizeof texts, FIELDS, LIST};
    struct mf_hpack_list list;
    int rc = mf_hpack_decode(decoder, block, &caps, &list);
    if (rc == 0 && list.over)
        rc = MF_ELIMIT;
    if (rc < 0)
        return fail("block", rc);

    struct mf_h2_request request;
    struct mf_h2_scratch scratch = {room, sizeof room, 0};
    struct mf_h2_view view;
    rc = mf_h2_fields_request(fields, marks, list.n, &request);
    if (rc < 0)
        return fail("fields", rc);
    mf_h2_view_of(fields, marks, list.n, &request, &scratch, &view);
    rc = mf_h2_view_path_check(&view);
    if (rc < 0)
        return fail("path", rc);

    struct mf_h2_shown shown;
    struct mf_label_values labels = {0};
    mf_h2_shown_of(fields, marks, list.n, &request, &view, true, pairs, &scratch, &shown);
    struct mf_http_view http = {view.http_method, view.scheme, view.authority, view.path, view.query};
    struct mf_query query = {
        .service = view.service,
        .method = view.method,
        .headers = shown.labels,
        .n_headers = shown.n_labels,
        .name_lengths = shown.name_lengths,
        .fold_names = true,
        .http = &http,
        .now = mf_clock_ns(),
    };
    mf_label_find(mf_table_labels(table), NULL, &query, &labels);
    query.labels = labels.value;
    query.headers = shown.headers;
    query.n_headers = shown.n_headers;
    return route(table, &query);
}

static int grpc(struct mf_table *table)
{
    /* POST /com.x.Demo/hi of gRPC; its env is a member of baggage. The second is in the decoder's table, but for that. */
    static const uint8_t first[] = "\x83\x86\x44\x0e/com.x.Demo/hi\x41\x04"
                                   "demo\x5f\x10"
                                   "application/grpc\x40\x02te\x08trailers\x40\x07"
                                   "baggage\x08"
                                   "env=dev1",
                         second[] = "\x83\x86\xc2\xc1\xc0\xbf\x0f\x2f\x08"
                                    "env=dev1";
    void *memory = mf_alloc(mf_hpack_decoder_room(MF_HPACK_TABLE));
    if (!memory)
        return fail("decoder", -ENOMEM);
    struct mf_hpack_decoder decoder;
    mf_hpack_decoder_init(&decoder, memory, MF_HPACK_TABLE);
    int bad = grpc_block(table, &decoder, mf_slice_of(first, sizeof first - 1));
    if (!bad)
        bad = grpc_block(table, &decoder, mf_slice_of(second, sizeof second - 1));
    mf_free(memory);
    return bad;
}

int main(void)
{
    struct mf_table *table;
    int rc = mf_table_new(&table);
    if (rc == 0)
        rc = build(table);
    int env = rc < 0 ? rc : mf_label_intern(table, MF_SLICE("env"));
    struct mf_labels plan = {.n_labels = 1};
    plan.labels[0] = (struct mf_label){.name = MF_SLICE("env"), .n_sources = 1};
    plan.labels[0].sources[0] = (struct mf_label_source){MF_LABEL_HEADER, MF_TRACEID_PLAIN, MF_SLICE("env")};
    if (env >= 0)
        rc = mf_table_publish_labels(table, &plan);
    if (env < 0 || rc < 0)
        return fail("table", env < 0 ? env : rc);

    int reader = mf_epoch_join(mf_table_epoch(table));
    mf_epoch_online(mf_table_epoch(table), reader);
    int bad = dubbo(table, env) + grpc(table);
    mf_epoch_leave(mf_table_epoch(table), reader);
    mf_table_free(table);
    return bad != 0;
}
