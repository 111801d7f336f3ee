#pragma once
/* conn: one connection, whichever side and protocol: bytes in, bytes out, waits, back pressure, its end.
 *
 * A role (a protocol's caller or provider, a listener that still looks at the first bytes) is a struct that begins with
 * an mf_conn and has its own state behind it; `ops` are its functions. All input and output goes through here.
 * Life: mf_conn_accept or mf_conn_dial; then mf_conn_close, or the peer's end; the memory goes after that. */
#include "base/list.h"
#include "call/local.h"
#include "call/passed.h"
#include "loop/sock.h"

struct mf_conn;

/* What a role does with its connection. */
struct mf_conn_ops {
    size_t (*on_read)(struct mf_conn *conn, struct mf_slice view); /* as mf_sock_events.on_read */
    void (*on_eof)(struct mf_conn *conn);
    void (*on_ready)(struct mf_conn *conn);          /* dialled connections: it is there */
    void (*on_lost)(struct mf_conn *conn, int rc);   /* it is gone: let go of all that depends on it. 0: closed by us */
    void (*on_timer)(struct mf_conn *conn, uint64_t now); /* a wait has passed; the next is set by mf_conn_wait */
    /* Accepted connections: its peer should be told to send no new calls, or to go on. May be NULL. */
    void (*on_readonly)(struct mf_conn *conn, bool readonly);
    /* The sidecar stops, and it is to be doomed: 0, or why that loses what was under way. May be NULL: 0. */
    int (*on_stop)(struct mf_conn *conn);
    /* Accepted connections: another process is to go on with it. 1: nothing of it is under way here, and `out` was told
     * what that one has to know; 0: something is; < 0: it stays. NULL: it stays. */
    int (*on_pass)(const struct mf_conn *conn, struct mf_passed *out);
    void (*on_room)(struct mf_conn *conn); /* its output was full, and has drained. May be NULL */
    /* Memory is short: lets go of `excess` bytes of what it keeps for its peer, where that has taken none of it for
     * memoryTimeout. Returns how many it was. May be NULL. */
    size_t (*on_tight)(struct mf_conn *conn, size_t excess);
};

enum mf_conn_pause {
    MF_PAUSE_OUTPUT = 1, /* it does not read its own answers */
    MF_PAUSE_PEER = 2,   /* the connection it writes to is full */
    MF_PAUSE_PASS = 4,   /* another process is to go on with it */
};

/* How its peer takes what waits for it. */
enum mf_conn_pace { MF_PACE_MOVES, MF_PACE_SLOW, MF_PACE_STALLED };

struct mf_conn {
    struct mf_sock sock; /* first: the loop's callbacks are given this */
    struct mf_local *local;
    const struct mf_conn_ops *ops;
    struct mf_list all;     /* on the local's conns */
    struct mf_list node;    /* accepted: on its inlet's conns */
    struct mf_timer timer;  /* the nearest of its waits; fires early rather than being moved */
    uint64_t connect_by;    /* up: it must be ready by then */
    uint64_t frame_by;      /* a frame that began must be whole by then; 0: none has begun */
    uint64_t paused_at;     /* since when it is not read */
    size_t behind;          /* bytes that its role keeps until its peer takes them, behind the socket's output */
    size_t left;            /* closed: what its peer had not taken when that was looked at last */
    uint64_t pace_at;       /* budget.h's: since when it is looked at what its peer takes, and what it had taken by then */
    uint64_t pace_out;
    uint8_t pace;           /* enum mf_conn_pace */
    struct mf_list waiters; /* connections paused until this one drains */
    struct mf_list waiting; /* on another's waiters */
    uint8_t pauses;         /* enum mf_conn_pause bits */
    bool up;                /* dialled by us */
    bool alone;             /* up: for one caller */
    bool ready;             /* up: connected */
    bool doomed;            /* to be closed by its own timer, at once: never from inside another's callback */
    bool closed;
    bool passing;           /* it is paused as soon as what is left over of its input may go along (MF_PASSED_CAME) */
    bool arriving;          /* accepted: some of a frame has come, and it is known how much has not */
    bool hasty;             /* its end has no more than a moment, whether its peer takes what was said or not */
    int doomed_rc;
    uint32_t heard;         /* accepted: which of its inlet's words it was told last */
};

/* Takes an accepted descriptor over, which is closed when this fails. `size`: of the role's struct, zeroed behind the
 * mf_conn. NULL: it was counted or reported why. */
struct mf_conn *mf_conn_accept(struct mf_local *local, int fd, size_t size, const struct mf_conn_ops *ops);
/* The same of what another process had let in, whatever maxConnections says; what had come of it is yet to be shown
 * (mf_sock_unread). */
struct mf_conn *mf_conn_adopt(struct mf_local *local, const struct mf_passed *from, size_t size, const struct mf_conn_ops *ops);
/* A connection being made to `addr`; NULL and `*rc` on failure. */
struct mf_conn *mf_conn_dial(struct mf_local *local, const struct mf_addr *addr, size_t size,
                             const struct mf_conn_ops *ops, int *rc);
/* Ends it: `ops->on_lost` is called at once with `rc` (0: by us), then nothing more. Only from its own callbacks. */
void mf_conn_close(struct mf_conn *conn, enum mf_sock_how how, int rc);
/* The same from anywhere, in a moment: nothing more is written to it or read from it. */
void mf_conn_doom(struct mf_conn *conn, int rc);
/* The sidecar stops: dooms it. */
void mf_conn_stop(struct mf_conn *conn);
/* Its last output has had its time. */
void mf_conn_cut(struct mf_conn *conn);
/* What an accepted one sent is not its protocol: tells the engine's thread whose it is. */
void mf_conn_bad(const struct mf_conn *conn, int rc);
/* Something that must be written found no room: dooms it, for want of memory unless its end has not been told yet. */
void mf_conn_unwritten(struct mf_conn *conn);
/* An accepted one is to go on in another process. 1: it has left, and is `out`'s, all but `listener`; 0: not yet, and it is
 * read no more than it needs, so ask again in a later turn; < 0: it stays. Only from timers and the ends of turns. */
int mf_conn_pass(struct mf_conn *conn, struct mf_passed *out);
void mf_conn_stay(struct mf_conn *conn); /* it goes on here */
/* Makes sure that on_timer comes by `at` at the latest. */
void mf_conn_wait(struct mf_conn *conn, uint64_t at);
/* A frame has begun of which `missing` bytes (0: not known) have yet to come: it has frameTimeout, and its length at
 * 64 KiB a second. Harmless when one has begun already. */
void mf_conn_expect(struct mf_conn *conn, uint64_t missing);
/* Nothing more is missing of any. */
static inline void mf_conn_whole(struct mf_conn *conn);
void mf_conn_arrived(struct mf_conn *conn); /* mf_conn_whole's, of one on which it was so */

/* Its peer is asked by TCP whether it is there, when it has said nothing for tcpKeepalive. */
void mf_conn_keepalive(struct mf_conn *conn);
/* Of one that was there: whether `rc`, what it was lost by, is that. */
void mf_conn_count_gone(const struct mf_conn *conn, int rc);

void mf_conn_pause(struct mf_conn *conn, enum mf_conn_pause why);
void mf_conn_resume(struct mf_conn *conn, enum mf_conn_pause why);
/* Pauses `conn` until `full` has room again, or is gone. */
void mf_conn_pause_for(struct mf_conn *conn, struct mf_conn *full);
/* Lets those go on that were paused for `conn`. */
void mf_conn_release(struct mf_conn *conn);
/* After writing: a caller that reads slowly is not asked for more. How much may wait for it is for its answers to look at.
 * What is shared by many callers' calls is not paused: whoever writes to it looks first whether it is full. */
void mf_conn_check_output(struct mf_conn *conn);

/* So much may wait for any peer, whatever waits for the others. */
enum { MF_CONN_FEW = 32768 };
/* More than upstreamOutputMax waits for one peer, or than is left for all others. */
bool mf_conn_too_much(const struct mf_local *local, uint64_t bytes);
bool mf_conn_stuffed(const struct mf_conn *up); /* the same of a connection; one whose peer speaks has a little room at all times */
bool mf_conn_speaks(const struct mf_conn *up);
/* It is for one caller: what waits there is the caller's. Before anything is written. */
void mf_conn_set_alone(struct mf_conn *up);

/* inline */

static inline bool mf_conn_reading(const struct mf_conn *conn)
{
    return !conn->pauses && !conn->doomed && !conn->closed;
}

static inline void mf_conn_whole(struct mf_conn *conn)
{
    conn->frame_by = 0;
    if (conn->arriving)
        mf_conn_arrived(conn);
}

/* What waits for its peer. */
static inline size_t mf_conn_waits(const struct mf_conn *conn)
{
    return mf_sock_pending(&conn->sock) + conn->behind;
}

/* Its role keeps so much more, or less. */
static inline void mf_conn_keep(struct mf_conn *conn, int64_t change)
{
    conn->behind += (size_t)change;
    if (conn->sock.sum)
        *conn->sock.sum += (size_t)change;
}

/* What is written still has a chance to be read. */
static inline bool mf_conn_open(const struct mf_conn *conn)
{
    return !conn->closed && !conn->doomed;
}

/* As much waits for it as may: nothing that others could do without is written to it. */
static inline bool mf_conn_full(const struct mf_conn *conn)
{
    return mf_sock_pending(&conn->sock) > MF_CONN_FEW && mf_conn_stuffed(conn);
}
