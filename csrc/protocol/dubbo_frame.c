#include "protocol/dubbo_frame.h"

#include "base/err.h"
#include "call/reply.h"
#include "protocol/dubbo_code.h"

void mf_dubbo_frame_echo(struct mf_conn *conn, const struct mf_dubbo_head *head, struct mf_slice body)
{
    if (conn->up && mf_conn_full(conn)) { /* what it would not read is not worth its memory */
        MF_COUNT(conn->local, heartbeats_skipped);
        return;
    }
    struct mf_dubbo_head answer = mf_dubbo_event_answer(head);
    uint8_t *to = mf_sock_reserve(&conn->sock, MF_DUBBO_HEAD_LEN + body.len);
    if (!to) {
        mf_conn_unwritten(conn);
        return;
    }
    mf_dubbo_put_head(to, &answer);
    if (body.len)
        memcpy(to + MF_DUBBO_HEAD_LEN, body.ptr, body.len);
    mf_sock_commit(&conn->sock, MF_DUBBO_HEAD_LEN + body.len);
    MF_COUNT(conn->local, heartbeats_in);
    mf_conn_check_output(conn);
}

static void put(struct mf_conn *conn, const uint8_t *bytes, size_t len)
{
    if (mf_conn_open(conn) && mf_sock_write(&conn->sock, mf_slice_of(bytes, len)) < 0)
        mf_conn_unwritten(conn);
}

void mf_dubbo_frame_beat(struct mf_conn *conn)
{
    uint8_t event[MF_DUBBO_EVENT_ROOM];
    put(conn, event, mf_dubbo_put_heartbeat(event, conn->local->random >> 1));
    MF_COUNT(conn->local, heartbeats_out);
}

void mf_dubbo_frame_readonly(struct mf_conn *conn, bool readonly)
{
    uint8_t event[MF_DUBBO_EVENT_ROOM];
    put(conn, event, readonly ? mf_dubbo_put_readonly(event) : mf_dubbo_put_writeable(event));
    if (readonly)
        MF_COUNT(conn->local, readonly_out);
}

void mf_dubbo_frame_refuse(struct mf_conn *conn, const struct mf_dubbo_head *head, const struct mf_fault *fault)
{
    if (!(head->flags & MF_DUBBO_REQUEST))
        return;
    if (!(head->flags & MF_DUBBO_TWO_WAY)) {
        if (!(head->flags & MF_DUBBO_EVENT))
            MF_COUNT(conn->local, calls_one_way_dropped);
        return;
    }
    if (conn->up && mf_conn_full(conn))
        return;
    uint8_t answer[MF_DUBBO_ERROR_ROOM];
    const struct mf_reply *reply = mf_reply_of(fault);
    uint8_t status = reply ? reply->statuses.dubbo : mf_dubbo_code(fault->outcome);
    size_t len = mf_dubbo_put_error(answer, head->id, head->serialization, status, fault->text);
    MF_COUNT(conn->local, answers_local);
    if (mf_sock_write(&conn->sock, mf_slice_of(answer, len)) < 0)
        mf_conn_unwritten(conn);
    else
        mf_conn_check_output(conn);
}

int mf_dubbo_frame_held(struct mf_conn *to, const uint8_t head[MF_DUBBO_HEAD_LEN], struct mf_block *block,
                        const struct mf_slice *pieces, size_t n_pieces)
{
    int rc = mf_sock_write(&to->sock, mf_slice_of(head, MF_DUBBO_HEAD_LEN));
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < n_pieces && rc == 0; i++) {
        const uint8_t *at = pieces[i].ptr;
        bool held = at >= block->data && at < block->data + block->cap;
        rc = held ? mf_sock_write_block(&to->sock, block, pieces[i]) : mf_sock_write(&to->sock, pieces[i]);
    }
    if (rc < 0)
        mf_conn_doom(to, rc);
    return rc;
}
