#pragma once
/* dubbo_frame: Dubbo2 frames on a connection, either side: cut from what arrives, and those that we write ourselves. */
#include "call/budget.h"
#include "call/call.h"
#include "call/conn.h"
#include "codec/dubbo.h"

/* What is still to be thrown away of a refused frame, bytes; MF_DUBBO_DEAF: all that ever comes. */
#define MF_DUBBO_DEAF UINT64_MAX

struct mf_dubbo_frame_ops {
    void (*on_frame)(struct mf_conn *conn, const struct mf_dubbo_head *head, struct mf_slice body);
    void (*on_too_long)(struct mf_conn *conn, const struct mf_dubbo_head *head);
    void (*on_garbage)(struct mf_conn *conn);
    /* There is hardly memory for it, and it is not whole yet. True: it is refused, and thrown away. */
    bool (*on_no_room)(struct mf_conn *conn, const struct mf_dubbo_head *head);
};

/* Answers a heartbeat, or another event that asks for an answer, with its own body: right for every serialization
 * without knowing it. */
void mf_dubbo_frame_echo(struct mf_conn *conn, const struct mf_dubbo_head *head, struct mf_slice body);
void mf_dubbo_frame_beat(struct mf_conn *conn);
void mf_dubbo_frame_readonly(struct mf_conn *conn, bool readonly);
/* An answer of ours, if the request wants one. */
void mf_dubbo_frame_refuse(struct mf_conn *conn, const struct mf_dubbo_head *head, const struct mf_fault *fault);

/* Bodies from here on are sent from where they arrived; below, a copy into the output costs less than a segment. */
enum { MF_DUBBO_HOLD_FROM = 16384 };
/* Writes a frame whose body is these pieces, most of it in `block`: all or nothing, as half a frame would spoil the
 * connection for every call on it, which is given up then. 0 or an error. */
int mf_dubbo_frame_held(struct mf_conn *to, const uint8_t head[MF_DUBBO_HEAD_LEN], struct mf_block *block,
                        const struct mf_slice *pieces, size_t n_pieces);

/* inline: each side gets a copy of its own, with its functions in it */

/* Cuts `view` into frames; what is returned is a whole number of them, or the bytes of one being thrown away. `answers`
 * (may be NULL): the calls that the frames' ids name. */
static inline __attribute__((always_inline)) size_t mf_dubbo_frame_read(
    struct mf_conn *conn, struct mf_slice view, uint64_t *discard, const struct mf_calls *answers,
    const struct mf_dubbo_frame_ops *ops)
{
    size_t at = 0;
    uint64_t missing = 0;
    while (at < view.len && mf_conn_reading(conn)) {
        struct mf_slice rest = mf_slice_of(view.ptr + at, view.len - at);
        if (*discard) {
            size_t n = *discard < rest.len ? (size_t)*discard : rest.len;
            if (*discard != MF_DUBBO_DEAF)
                *discard -= n;
            at += n;
            continue;
        }
        struct mf_dubbo_head head;
        int rc = mf_dubbo_parse_head(rest, (uint32_t)conn->local->limits->max_body, &head);
        if (rc == MF_EMORE)
            break;
        if (rc == MF_EDUBBO_SIZE) {
            MF_COUNT(conn->local, limit_max_body);
            MF_COUNT(conn->local, bad_frames);
            ops->on_too_long(conn, &head);
            at += MF_DUBBO_HEAD_LEN;
            continue;
        }
        if (rc < 0) {
            MF_COUNT(conn->local, bad_connections);
            ops->on_garbage(conn);
            mf_conn_whole(conn);
            return view.len;
        }
        size_t len = (size_t)MF_DUBBO_HEAD_LEN + head.body_len;
        if (rest.len < len) {
            if (len >= MF_BUDGET_LONG && mf_budget_over(conn->local) && ops->on_no_room(conn, &head)) {
                MF_COUNT(conn->local, limit_max_memory);
                *discard = head.body_len;
                at += MF_DUBBO_HEAD_LEN;
                continue;
            }
            missing = len - rest.len;
            mf_sock_want(&conn->sock, len);
            break;
        }
        at += len;
        mf_conn_whole(conn);
        /* The call of the next answer is on its way while this one is handled. */
        if (answers && rest.len >= len + MF_DUBBO_HEAD_LEN)
            mf_calls_fetch(answers, mf_get64(rest.ptr + len + 4));
        ops->on_frame(conn, &head, mf_slice_of(rest.ptr + MF_DUBBO_HEAD_LEN, head.body_len));
    }
    if (conn->closed)
        return view.len;
    if (*discard && *discard != MF_DUBBO_DEAF)
        mf_conn_expect(conn, *discard);
    else if (at < view.len && mf_conn_reading(conn))
        mf_conn_expect(conn, missing);
    else
        mf_conn_whole(conn);
    return at;
}
