#include "protocol/h2_reply.h"

#include "codec/h2_view.h"
#include "protocol/h2_change.h"
#include "protocol/h2_code.h"
#include "protocol/h2_request.h"
#include "table/actions.h"
#include "table/stat.h"

#include <stdio.h>

enum { FIELDS = 8, PIECE = MF_H2_PART_LEAST }; /* of a rule's answer, on the connection: as many streams may wait there */

uint16_t mf_h2_reply_status(uint8_t kind, const struct mf_fault *fault)
{
    const struct mf_reply *reply = mf_reply_of(fault);
    if (kind != MF_H2_READS_HTTP)
        return 200;
    return reply ? reply->statuses.http : (uint16_t)mf_h2_code_http(fault->outcome);
}

uint8_t mf_h2_reply_stat(uint8_t kind, const struct mf_fault *fault)
{
    const struct mf_reply *reply = mf_reply_of(fault);
    if (!reply)
        return (kind == MF_H2_READS_HTTP ? mf_h2_code_http_stats : mf_h2_code_grpc_stats)[fault->outcome];
    return (uint8_t)(kind == MF_H2_READS_HTTP ? mf_stat_http_index(reply->statuses.http)
                                              : mf_stat_grpc_index(reply->statuses.grpc));
}

/* A head, as the rule changes it; its texts are the caller's. */
struct head {
    struct mf_pair fields[FIELDS];
    uint32_t n;
};

static void add(struct head *head, struct mf_slice name, struct mf_slice value)
{
    head->fields[head->n++] = (struct mf_pair){name, value};
}

/* What other proxies understand of it. */
static void add_why(struct head *head, const struct mf_fault *fault, const struct mf_h2_told *told)
{
    if (told->nobody)
        add(head, mf_slice_str(told->nobody), MF_SLICE("1"));
    if (fault->outcome == MF_OUTCOME_BUSY) /* as Envoy tells it */
        add(head, MF_SLICE("x-envoy-overloaded"), MF_SLICE("true"));
}

static int put_head(struct mf_h2_stream *h2, const struct head *head, const struct mf_change_list *change, bool end)
{
    if (!change || change->n_levels == 0)
        return mf_h2_stream_head(h2, head->fields, NULL, head->n, end, NULL);
    struct mf_h2_mark marks[FIELDS];
    for (uint32_t i = 0; i < head->n; i++)
        marks[i] = mf_h2_mark_of(head->fields[i]);
    struct mf_h2_list list = {head->fields, marks, head->n};
    mf_h2_change_answer(h2->conn->share, change, &list);
    return mf_h2_stream_head(h2, list.fields, list.marks, list.n, end, NULL);
}

static enum mf_h2_reply_state put_or_over(bool put)
{
    return put ? MF_H2_REPLY_PUT : MF_H2_REPLY_OVER;
}

static enum mf_h2_reply_state put_grpc(struct mf_h2_stream *h2, const struct mf_fault *fault, const struct mf_h2_told *told,
                                       struct head *head)
{
    const struct mf_reply *reply = mf_reply_of(fault);
    char status[4];
    uint8_t message[MF_H2_GRPC_MESSAGE];
    size_t len = mf_h2_grpc_message_put(message, sizeof message, mf_slice_str(fault->text));
    snprintf(status, sizeof status, "%d", reply ? reply->statuses.grpc : mf_h2_code_grpc(fault->outcome));
    add(head, MF_SLICE(":status"), MF_SLICE("200"));
    add(head, MF_SLICE("content-type"), mf_h2_view_type(told->kind));
    add(head, MF_SLICE("grpc-status"), mf_slice_str(status));
    add(head, MF_SLICE("grpc-message"), mf_slice_of(message, len));
    if (reply && reply->location.len)
        add(head, MF_SLICE("location"), reply->location);
    add_why(head, fault, told);
    bool ended = told->ended;
    return put_or_over(put_head(h2, head, reply ? reply->change : NULL, true) == 0 && !ended);
}

/* As much as goes at once, and no more. */
static enum mf_h2_reply_state feed(struct mf_h2_stream *h2, bool ended, struct mf_h2_reply *rest)
{
    struct mf_h2_conn *conn = h2->conn;
    while (rest->actions) {
        size_t left = rest->body.len;
        struct mf_slice piece = mf_slice_of(rest->body.ptr, left < PIECE ? left : PIECE);
        struct mf_actions *actions = rest->actions;
        bool end = piece.len == left;
        rest->body = mf_slice_of(piece.ptr + piece.len, left - piece.len);
        if (end)
            rest->actions = NULL;
        long put = mf_h2_stream_data(h2, piece, NULL, end);
        if (end)
            mf_actions_give(actions);
        if (put < 0 || !mf_conn_open(&conn->conn)) /* what went of others' may have ended it */
            return MF_H2_REPLY_OVER;
        if (end)
            return put_or_over(!ended || (size_t)put < piece.len);
        if ((size_t)put < piece.len)
            break;
    }
    return MF_H2_REPLY_WAITS;
}

enum mf_h2_reply_state mf_h2_reply_more(struct mf_h2_stream *h2, bool ended, struct mf_h2_reply *rest)
{
    return h2->queued ? MF_H2_REPLY_WAITS : feed(h2, ended, rest);
}

void mf_h2_reply_drop(struct mf_h2_reply *rest)
{
    mf_actions_give(rest->actions);
    rest->actions = NULL;
}

static bool bare(unsigned status)
{
    return status == 204 || status == 304;
}

static enum mf_h2_reply_state put_rule(struct mf_h2_stream *h2, const struct mf_reply *reply, const struct mf_h2_told *told,
                                       struct head *head, struct mf_h2_reply *rest)
{
    char status[8], length[24];
    bool whole = told->no_content || bare(reply->statuses.http) || reply->body.len == 0;
    snprintf(status, sizeof status, "%u", (unsigned)reply->statuses.http);
    snprintf(length, sizeof length, "%zu", reply->body.len);
    add(head, MF_SLICE(":status"), mf_slice_str(status));
    if (reply->location.len)
        add(head, MF_SLICE("location"), reply->location);
    if (!bare(reply->statuses.http)) {
        add(head, MF_SLICE("content-length"), mf_slice_str(length));
        if (reply->body.len)
            add(head, MF_SLICE("content-type"), MF_SLICE("text/plain"));
    }
    bool ended = told->ended;
    if (put_head(h2, head, reply->change, whole) < 0)
        return MF_H2_REPLY_OVER;
    if (whole)
        return put_or_over(!ended);
    mf_actions_take(reply->actions);
    *rest = (struct mf_h2_reply){reply->actions, reply->body};
    return feed(h2, ended, rest);
}

static enum mf_h2_reply_state put_plain(struct mf_h2_stream *h2, const struct mf_fault *fault, const struct mf_h2_told *told,
                                        struct head *head)
{
    char status[8], length[24];
    struct mf_slice text = mf_slice_str(fault->text);
    /* Who gives no window goes without the text: nothing of it waits here. */
    bool whole = told->no_content || !mf_h2_conn_goes(h2, text.len + 1), ended = told->ended;
    snprintf(status, sizeof status, "%d", mf_h2_code_http(fault->outcome));
    snprintf(length, sizeof length, "%zu", text.len + 1);
    add(head, MF_SLICE(":status"), mf_slice_str(status));
    if (!whole || told->no_content) {
        add(head, MF_SLICE("content-type"), MF_SLICE("text/plain; charset=utf-8"));
        add(head, MF_SLICE("content-length"), mf_slice_str(length));
    }
    add_why(head, fault, told);
    long put = put_head(h2, head, NULL, whole);
    if (put == 0 && !whole) {
        put = mf_h2_stream_data(h2, text, NULL, false);
        long end = put < 0 ? put : mf_h2_stream_data(h2, MF_SLICE("\n"), NULL, true);
        ended = ended && put + end > (long)text.len;
        put = end;
    }
    return put_or_over(put >= 0 && !ended);
}

enum mf_h2_reply_state mf_h2_reply_put(struct mf_h2_stream *h2, const struct mf_fault *fault, const struct mf_h2_told *told,
                                       struct mf_h2_reply *rest)
{
    const struct mf_reply *reply = mf_reply_of(fault);
    struct head head;
    head.n = 0;
    if (told->kind != MF_H2_READS_HTTP)
        return put_grpc(h2, fault, told, &head);
    return reply ? put_rule(h2, reply, told, &head, rest) : put_plain(h2, fault, told, &head);
}
