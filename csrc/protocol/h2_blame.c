#include "protocol/h2_blame.h"

#include "call/lane.h"

#define EVERY_NS UINT64_C(100000000)
enum { TOPICS = 16 };

/* Of those of which most is held; who holds more than one part of TOPICS is among them (Misra and Gries). */
struct topics {
    uint32_t n;
    struct {
        uint16_t topic;
        uint64_t held;
    } of[TOPICS];
};

/* What went on this call's stream and has not been read, as far as its window tells. */
static uint64_t held_by(const struct mf_h2_conn *h2, const struct mf_call *call)
{
    const struct mf_h2_stream *stream = call->at_callee;
    int64_t held = stream ? (int64_t)h2->peer.window - stream->_out_window : 0;
    return held > 0 ? (uint64_t)held : 0;
}

static bool add(struct topics *topics, uint16_t topic, uint64_t held)
{
    for (uint32_t i = 0; i < topics->n; i++) {
        if (topics->of[i].topic == topic) {
            topics->of[i].held += held;
            return true;
        }
    }
    return false;
}

static void note(struct topics *topics, uint16_t topic, uint64_t held)
{
    if (held == 0 || add(topics, topic, held))
        return;
    uint64_t least = topics->n < TOPICS ? 0 : held;
    for (uint32_t i = 0; i < topics->n; i++)
        least = topics->of[i].held < least ? topics->of[i].held : least;
    uint32_t n = 0;
    for (uint32_t i = 0; i < topics->n; i++)
        if ((topics->of[i].held -= least) > 0)
            topics->of[n++] = topics->of[i];
    topics->n = n;
    if (held > least) {
        topics->of[topics->n].topic = topic;
        topics->of[topics->n++].held = held - least;
    }
}

#define EACH(call, link)                                                                                               \
    for (struct mf_list *node_ = (link)->callee.calls.next; node_ != &(link)->callee.calls; node_ = node_->next)         \
        for (struct mf_call *call = MF_CONTAINER(node_, struct mf_call, place); call; call = NULL)

/* Of each caller, and of all. */
static uint64_t sum_up(struct mf_link *link, const struct mf_h2_conn *h2)
{
    uint64_t all = 0;
    EACH(call, link)
        if (call->caller)
            call->caller->held = 0;
    EACH(call, link) {
        uint64_t held = held_by(h2, call);
        all += held;
        if (call->caller)
            call->caller->held += held;
    }
    return all;
}

static bool is_shared(struct mf_link *link, const struct mf_caller *caller)
{
    EACH(call, link)
        if (call->caller != caller)
            return true;
    return false;
}

/* Callers who hold more than their share, where others are there; and what is asked by others, none of whom holds as much, and
 * together they do. */
void mf_h2_blame(struct mf_link *link, const struct mf_caller *caller)
{
    struct mf_h2_up *up = (struct mf_h2_up *)(void *)link->conn;
    const struct mf_h2_conn *h2 = &up->h2;
    struct mf_local *local = h2->conn.local;
    struct topics topics = {.n = 0};
    uint64_t now = mf_local_now(local);
    if (mf_h2_conn_window(h2) != MF_H2_WINDOW_USED_UP || (caller && now - up->blamed_at < EVERY_NS))
        return;
    up->blamed_at = now;
    bool shared = is_shared(link, caller);
    uint64_t share = sum_up(link, h2) / local->limits->h2_window_share;
    EACH(call, link)
        if (!shared || !call->caller || call->caller->held <= share)
            note(&topics, call->topic, held_by(h2, call));
    for (uint32_t i = 0; i < topics.n; i++)
        topics.of[i].held = 0;
    EACH(call, link)
        if (!shared || !call->caller || call->caller->held <= share)
            (void)add(&topics, call->topic, held_by(h2, call));
    EACH(call, link)
        if (shared && call->caller && call->caller->held > share && held_by(h2, call))
            mf_lane_warn(link->pool, call->topic, call->caller);
    EACH(call, link) {
        struct mf_caller *of = call->caller;
        if (!shared || !of || of->held <= share)
            continue;
        of->held = 0; /* once */
        MF_COUNT(local, limit_h2_window_share);
        mf_lane_suspect(link->pool, of, false);
    }
    for (uint32_t i = 0; i < topics.n; i++) {
        if (topics.of[i].held <= share)
            continue;
        MF_COUNT(local, limit_h2_window_share);
        mf_lane_stick(link->pool, topics.of[i].topic);
    }
}
