#pragma once
/* stage: callers, providers and the engine on one thread. Nobody blocks: `turn` (stage_turn.h) moves each of them a
 * step, so a run does the same every time. Every call has a number that travels in its argument and comes back. */
#include "peers.h"

#include <dirent.h>

enum { PROVIDERS = 4, ENDS = 48, ASKS = 512, BIG_ANSWER = 100000, MEDIUM_ANSWER = 20000, SMALL_ANSWER = 40 };
enum { FREE_PLACE = -1, ENDED = -2 };
enum { BASELINE, LABELLED, APP, STUCK }; /* providers; STUCK lets nobody in */

struct bytes {
    uint8_t *at;
    size_t len, room;
};

/* One connection as the test holds it. */
struct end {
    int fd; /* FREE_PLACE: none; ENDED: closed, and its calls still name it */
    int provider; /* whose it is; -1: a caller's */
    bool plain, gone, drop;
    size_t sent, echoed; /* of plain bytes */
    struct bytes in, out;
};

enum { ECHO = 'e', MEDIUM = 'm', BIG = 'b', SILENT = 's', DROP = 'd', ONE_WAY_CALL = 'o' };

struct ask {
    struct end *from;
    struct bytes frame;    /* as it was sent */
    uint8_t command, want; /* the status that it gets when there is memory */
    uint8_t status;        /* what it got */
    uint8_t to;            /* bit set of the providers that may see it */
    bool stamped;          /* it may arrive with dev=dev1 behind it */
    bool settled;
    int delivered;
};

struct stage {
    struct mf_loop *loop;
    struct mf_table *table;
    struct mf_trace *trace;
    struct mf_engine *engine;
    struct mf_addr outbound, inbound;
    struct mf_addr addrs[PROVIDERS];
    int listeners[PROVIDERS];
    struct end ends[ENDS];
    struct ask asks[ASKS];
    uint32_t n_asks;
    bool strict;           /* every call must get what it wants: nothing fails any more */
    bool stopping;         /* connections end, and who still waits is told so */
    uint64_t turned;       /* when it turned last */
    bool slow;             /* a turn took so long that a connection being made may have counted as failed */
    long turns_left;       /* a lasting failure heals after so many turns that saw it; -1: never by itself */
    uint32_t shed;         /* calls and connections that got less than they wanted */
    struct mf_timer tick;  /* moves the peers while the engine turns the loop by itself */
};

static void append(struct bytes *to, const void *from, size_t len)
{
    if (to->room - to->len < len) {
        to->room = 2 * (to->len + len);
        to->at = realloc(to->at, to->room);
    }
    if (len)
        memcpy(to->at + to->len, from, len);
    to->len += len;
}

static void cut(struct bytes *from, size_t len)
{
    from->len -= len;
    if (from->len)
        memmove(from->at, from->at + len, from->len);
}

static void free_bytes(struct bytes *bytes)
{
    free(bytes->at);
    *bytes = (struct bytes){0};
}

static int open_descriptors(void)
{
    DIR *dir = opendir("/proc/self/fd");
    int n = 0;
    while (dir && readdir(dir))
        n++;
    closedir(dir);
    return n;
}

/* --- ends */

static struct end *new_end(struct stage *stage, int fd, int provider)
{
    int on = 1;
    for (int i = 0; i < ENDS; i++) {
        struct end *end = &stage->ends[i];
        if (end->fd != FREE_PLACE)
            continue;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        *end = (struct end){.fd = fd, .provider = provider};
        return end;
    }
    CHECK(!"room for another connection");
    abort();
}

static void close_end(struct end *end)
{
    if (end->fd >= 0)
        close(end->fd);
    end->fd = FREE_PLACE;
    free_bytes(&end->in);
    free_bytes(&end->out);
}

static struct end *call_in(struct stage *stage, const struct mf_addr *addr)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK_INT(connect(fd, &addr->sa, addr->len), 0); /* the kernel lets it in: no turn is needed */
    return new_end(stage, fd, -1);
}
