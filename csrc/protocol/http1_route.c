#include "protocol/http1_route.h"

#include "base/err.h"
#include "base/mem.h"
#include "call/labels.h"
#include "table/actions.h"
#include "table/plan.h"

#include <errno.h>

static struct mf_http1 *http1_of(struct mf_conn *conn)
{
    return (struct mf_http1 *)(void *)conn;
}

void mf_http1_note(struct mf_http1 *http1, const struct mf_query *query)
{
    struct mf_conn *conn = &http1->relay.conn;
    struct mf_notes *notes = conn->local->notes;
    if (notes && notes->sample && !http1->note)
        http1->note = mf_note_begin(notes, (uint8_t)http1->inlet->options->direction, query, query, 0, conn->sock.fd);
}

/* Where it would go without us. */
static int onward(struct mf_conn *conn, const struct mf_inlet *inlet, struct mf_http1_aim *aim)
{
    *aim = (struct mf_http1_aim){0};
    return mf_inlet_address(inlet, conn, &aim->addr) < 0 ? MF_EROUTE_SERVICE : 0;
}

/* By the host, and where that is not listed by what Triple's JSON calls in the path; each by its own name before by a
 * pattern. */
static int look_up(const struct mf_table *table, const struct mf_http1_head *head, struct mf_query *query,
                   struct mf_route *route)
{
    uint8_t room[MF_HTTP1_HOST];
    struct mf_route other;
    query->service = mf_http1_head_service(head, room);
    query->method = head->method;
    int rc = mf_route_lookup(table, query, route);
    if (!route->inexact || !mf_http1_head_call(head, &query->service, &query->method))
        return rc;
    int other_rc = mf_route_lookup(table, query, &other);
    if (other_rc == MF_EROUTE_SERVICE || (other.inexact && rc != MF_EROUTE_SERVICE))
        return rc;
    *route = other;
    return other_rc;
}

/* What policy sees: all fields, and the labels that they lead to. They cannot be stamped: the bytes go as they came. */
static int by_table(struct mf_http1 *http1, const struct mf_http1_head *head, struct mf_http1_aim *aim)
{
    struct mf_local *local = http1->relay.conn.local;
    struct mf_pair *fields = mf_alloc((head->n_fields + 1) * sizeof *fields);
    if (!fields)
        return -ENOMEM;
    mf_http1_head_fields(head, fields);
    struct mf_query query = {.headers = fields, .n_headers = head->n_fields, .speaks = MF_SPEAKS_HTTP,
                             .fold_names = true};
    struct mf_http_view view = {head->method, head->scheme.len ? head->scheme : MF_SLICE("http"), head->authority,
                                head->path, head->query};
    struct mf_route route;
    query.http = &view;
    query.now = mf_local_now(local);
    query.random = mf_local_random(local);
    if (http1->tries)
        mf_labels_find_again(local, &query);
    else
        mf_labels_find(local, &query, NULL);
    query.labels = local->labels.value;
    int rc = look_up(local->table, head, &query, &route);
    if (rc == MF_EROUTE_PEER) { /* a port that is Dubbo's may take HTTP/1 too, where there is no other */
        query.at_dubbo = true;
        rc = look_up(local->table, head, &query, &route);
    }
    if (rc == MF_EROUTE_DOWN) {
        query.last_resort = true;
        rc = look_up(local->table, head, &query, &route);
    }
    mf_http1_note(http1, &query);
    mf_free(fields);
    aim->stat = route.stat;
    aim->actions = route.actions;
    if (route.actions)
        aim->change = mf_actions_change(route.actions, rc == 0 ? route.target : 0);
    if (rc == 0) {
        aim->fallback = route.fallbacks > 0;
        aim->guard = route.plan && route.plan->breaks ? route.plan->guard : NULL;
        aim->peer = route.peer;
        aim->addr = route.peer->addr;
    }
    return rc;
}

/* CONNECT asks for a way to elsewhere, of whoever was dialled: nothing of it names a service. */
int mf_http1_choose(struct mf_conn *conn, const struct mf_http1_head *head, struct mf_http1_aim *aim)
{
    struct mf_http1 *http1 = http1_of(conn);
    const struct mf_inlet_options *options = http1->inlet->options;
    if (options->direction == MF_INBOUND)
        return onward(conn, http1->inlet, aim);
    int rc = head->connect ? MF_EROUTE_SERVICE : by_table(http1, head, aim);
    if (rc == MF_EROUTE_SERVICE && !options->refuse_unknown)
        rc = onward(conn, http1->inlet, aim);
    return rc;
}
