#pragma once
/* conn: one connection of the proxy, whichever side and protocol: bytes in, bytes out, waits, back pressure.
 *
 * A downstream connection starts with no protocol; its first bytes choose one (sniff), which then gets all its bytes.
 * Life: mf_conn_accept or mf_conn_dial; then mf_conn_close, or the peer's end; the memory goes after on_close. */
#include "base/list.h"
#include "loop/sock.h"
#include "proxy/dubbo_read.h"
#include "proxy/engine.h"

struct mf_call;
struct mf_door;
struct mf_pool;
struct mf_worker;
struct mf_conn;
struct mf_fault;

/* What a protocol does with a connection. */
struct mf_protocol_ops {
    size_t (*on_read)(struct mf_conn *conn, struct mf_slice view); /* as mf_sock_events.on_read */
    void (*on_eof)(struct mf_conn *conn);
    void (*on_ready)(struct mf_conn *conn);          /* dialled connections: it is there */
    void (*on_lost)(struct mf_conn *conn, int rc);   /* it is gone: let go of all that depends on it */
    void (*on_timer)(struct mf_conn *conn, uint64_t now); /* a wait has passed; the next is set by mf_conn_wait */

    /* Downstream protocols: how a call speaks to its caller, and what it asks for. */
    void (*deliver)(struct mf_conn *down, struct mf_call *call, const void *head, struct mf_slice body);
    void (*answer)(struct mf_conn *down, struct mf_call *call, const struct mf_fault *fault);
    void (*route_again)(struct mf_call *call); /* choose a peer again; ends in a step of the call */
    /* Upstream protocols: sends a queued call's frame: 0, or an error (nothing was sent). */
    int (*send)(struct mf_conn *up, struct mf_call *call);
    /* A call that began at `since` got no answer in time: find out whether the peer is still there. */
    void (*doubt)(struct mf_conn *up, uint64_t since);
};

enum mf_conn_pause {
    MF_PAUSE_OUTPUT = 1, /* it does not read its own answers */
    MF_PAUSE_PEER = 2,   /* the connection it writes to is full */
};

struct mf_conn {
    struct mf_sock sock; /* first: the loop's callbacks are given this */
    struct mf_worker *worker;
    const struct mf_protocol_ops *ops; /* NULL: not yet sniffed */
    struct mf_list node;    /* on its door's downs, its pool's conns or the worker's strays */
    struct mf_timer timer;  /* the nearest of its waits; fires early rather than being moved */
    uint64_t frame_by;      /* a frame that began must be whole by then; 0: none has begun */
    uint64_t paused_at;     /* since when it is not read */
    uint64_t discard;       /* bytes of a refused frame still to be thrown away */
    struct mf_list calls;   /* down: calls it asked for. up: calls that await its answer */
    uint32_t n_calls;
    struct mf_door *door;   /* down: where it came in */
    struct mf_pool *pool;   /* up: whose it is. down: where its unread calls go, once known */
    struct mf_conn *other;  /* a relayed pair */
    struct mf_list waiters; /* connections paused until this one drains */
    struct mf_list waiting; /* on another's waiters */
    struct mf_recent recent; /* down: what its requests were like */
    uint64_t heartbeat_at;  /* up: when the last heartbeat was sent; 0: answered */
    uint64_t probe_at;      /* up: when one was sent because calls time out in silence; 0: no such doubt */
    uint8_t pauses;         /* enum mf_conn_pause bits */
    bool up;                /* dialled by us */
    bool ready;             /* up: connected */
    bool readonly;          /* up: the peer asked for no new calls */
    bool ending;            /* down: closes when its last call is answered */
    bool doomed;            /* to be closed by its own timer, at once: never from inside another's callback */
    int doomed_rc;
    bool closed;
};

/* Takes an accepted descriptor over; it is closed when this fails. */
void mf_conn_accept(struct mf_door *door, int fd);
/* A connection being made to `addr`; NULL and `*rc` on failure. */
struct mf_conn *mf_conn_dial(struct mf_worker *worker, const struct mf_addr *addr, const struct mf_protocol_ops *ops,
                             int *rc);
/* Ends it: `ops->on_lost` is called at once with `rc` (0: by us), then nothing more. Only from its own callbacks. */
void mf_conn_close(struct mf_conn *conn, enum mf_sock_how how, int rc);
/* The same from anywhere, in a moment: nothing more is written to it or read from it. */
void mf_conn_doom(struct mf_conn *conn, int rc);
/* Something that must be written found no room: dooms it, for want of memory unless its end has not been told yet. */
void mf_conn_unwritten(struct mf_conn *conn);
/* Makes sure that on_timer comes by `at` at the latest. */
void mf_conn_wait(struct mf_conn *conn, uint64_t at);

void mf_conn_pause(struct mf_conn *conn, enum mf_conn_pause why);
void mf_conn_resume(struct mf_conn *conn, enum mf_conn_pause why);
/* Pauses `conn` until `full` has room again, or is gone. */
void mf_conn_pause_for(struct mf_conn *conn, struct mf_conn *full);
/* Lets those go on that were paused for `conn`. */
void mf_conn_release(struct mf_conn *conn);
/* After writing to a downstream connection: a reader that is slow is not asked for more, one that is far behind is
 * closed. */
void mf_conn_check_output(struct mf_conn *conn);

/* inline */

static inline struct mf_conn *mf_conn_of(struct mf_sock *sock)
{
    return (struct mf_conn *)(void *)sock;
}
