/* copies, limited: what becomes of copies of calls, and that each is counted just once, as one of four things, and nowhere
 * else; and of calls that a rate limit refuses. */
#include "call/copies.h"

#include "bare.h"
#include "call/limited.h"
#include "protocol/dubbo_share.h"
#include "protocol/dubbo_up.h"
#include "table/bound.h"
#include "table/mirror.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>

enum { BODY = 40 };

static struct {
    struct mf_loop *loop;
    struct bare bare;
    struct mf_copies copies;
    struct mf_dubbo_share share;
    struct mf_dialer dialer; /* of the calls: what a copy goes by is found by its number */
    struct mf_caller caller;
    struct mf_meter *meter;
    struct mf_actions *actions;
    enum mf_outcome told;
    int listener;
    bool no_memory;
} w;

static uint16_t mirrors = 1;

static struct mf_slice S(const char *text)
{
    return mf_slice_str(text);
}

static struct mf_block *freeze(struct mf_request *request, struct mf_call *call, int *rc)
{
    struct mf_dubbo_head head = {.id = call->id, .flags = MF_DUBBO_REQUEST | (call->two_way ? MF_DUBBO_TWO_WAY : 0),
                                 .serialization = MF_DUBBO_HESSIAN2, .body_len = BODY};
    struct mf_block *block = w.no_memory ? NULL : mf_loop_block(w.loop, MF_DUBBO_HEAD_LEN + BODY);
    CHECK_INT(request->length, MF_DUBBO_HEAD_LEN + BODY);
    *rc = block ? 0 : -ENOMEM;
    if (!block)
        return NULL;
    mf_dubbo_put_head(block->data, &head);
    memset(block->data + MF_DUBBO_HEAD_LEN, 'x', BODY);
    call->bytes_up = MF_DUBBO_HEAD_LEN + BODY;
    return block;
}

static void answer(struct mf_caller *caller, struct mf_call *call, const struct mf_fault *fault)
{
    (void)caller;
    (void)call;
    w.told = fault->outcome;
}

static void flows(struct mf_caller *caller, struct mf_call *call)
{
    (void)caller;
    (void)call;
}

static const uint8_t stats[MF_OUTCOMES];
static const struct mf_caller_ops ops = {.answer = answer, .stats = stats};
static const struct mf_caller_ops flowing_ops = {.answer = answer, .asked = flows, .stats = stats};
static const struct mf_request_ops request_ops = {.freeze = freeze};

/* One service, whose rule mirrors all to the listener (`there`), or to a port where nobody is. */
static void publish(const char *address)
{
    struct mf_table *table = w.bare.table;
    struct mf_cluster *cluster;
    struct mf_service *service;
    CHECK_INT(mf_cluster_new(table, S("cart"), &cluster), 0);
    CHECK_INT(mf_cluster_add(table, cluster, S(address), NULL, 0, 1), 0);
    CHECK_INT(mf_cluster_seal(table, cluster), 0);
    CHECK_INT(mf_service_new(table, S("a.Cart"), MF_SERVICE_EXACT, &service), 0);
    CHECK_INT(mf_service_rule(service, 0), 0);
    CHECK_INT(mf_service_target(table, service, 0, cluster, MF_TARGET_ALL, S(""), 1, MF_FALLBACK_NO_AVAILABLE, MF_NO_TARGET), 0);
    struct mf_bucket *bucket = mf_bucket_new(1, UINT64_C(1000000000), 1, 0);
    w.actions = mf_actions_new();
    for (int i = 0; i < mirrors; i++)
        CHECK_INT(mf_mirror_add(service, 0, 0, w.actions, MF_MIRROR_ALL, w.meter), 0);
    CHECK_INT(mf_bound_add(table, service, w.actions, S("few"), bucket, 0, NULL, 0), 0);
    CHECK_INT(mf_service_actions(service, 0, w.actions), 0);
    CHECK_INT(mf_table_publish(table, service), 0);
    mf_bucket_give(bucket);
    mf_actions_give(w.actions); /* the rule's from here on */
    mf_cluster_give(table, cluster);
}

static void open_world(bool listening)
{
    const char *why;
    struct mf_addr addr;
    char text[MF_ADDR_TEXT];
    memset(&w, 0, sizeof w);
    CHECK_INT(mf_loop_new(&(struct mf_loop_options){.backend = MF_LOOP_EPOLL}, &w.loop, &why), 0);
    CHECK_INT(mf_addr_parse(MF_SLICE("127.0.0.1:0"), &addr), 0);
    w.listener = mf_sock_listen(&addr, 8, false);
    CHECK_INT(mf_sock_local(w.listener, &addr), 0);
    mf_addr_format(&addr, text);
    if (!listening)
        close(w.listener);
    else
        fcntl(w.listener, F_SETFL, O_NONBLOCK);
    open_bare(&w.bare, w.loop, 0);
    CHECK_INT(mf_copies_init(&w.copies, &w.bare.local), 0);
    CHECK_INT(mf_dubbo_share_init(&w.share, &mf_dubbo_up_dialer, 2, &w.copies.local, &w.copies.calls), 0);
    w.dialer.index = 2;
    w.copies.dialers[2] = &w.share.dialer;
    mf_caller_init(&w.caller, &ops, NULL, &w.bare.local.traffic[MF_OUTBOUND]);
    w.meter = mf_meter_new();
    publish(text);
}

static void close_world(bool listening)
{
    mf_copies_stop(&w.copies);
    for (int i = 0; i < 1000 && w.copies.local.n_ups; i++)
        CHECK(mf_loop_turn(w.loop, 1000000) >= 0);
    CHECK_INT(w.copies.local.n_ups, 0);
    CHECK_INT(w.copies.calls.n_live, 0);
    CHECK_INT(w.copies.held, 0);
    CHECK_INT(w.copies.local.budget.for_peers, 0);
    mf_copies_dispose(&w.copies);
    mf_dubbo_share_dispose(&w.share);
    CHECK_INT(mf_load_relaxed(&w.bare.local.counters.calls), 0); /* nothing of it was anybody's call */
    for (int i = 0; i < MF_OUTCOMES; i++)
        CHECK_INT(mf_load_relaxed(&w.bare.local.ended_here[i]), 0);
    close_bare(&w.bare);
    mf_loop_free(w.loop);
    if (listening)
        close(w.listener);
    mf_meter_give(w.meter);
}

static uint64_t mirror(bool two_way, bool flowing)
{
    struct mf_call call = {.calls = &w.bare.calls, .ops = flowing ? &flowing_ops : &ops, .two_way = two_way,
                           .asking = flowing, .kind = MF_DUBBO_HESSIAN2};
    struct mf_request request = {.ops = &request_ops, .dialer = &w.dialer, .timeout_ms = -1,
                                 .length = MF_DUBBO_HEAD_LEN + BODY};
    struct mf_route route;
    request.query = (struct mf_query){.service = S("a.Cart"), .now = mf_local_now(&w.bare.local)};
    CHECK_INT(mf_route_lookup(w.bare.table, &request.query, &route), 0);
    return mf_copies_mirror(&call, &request, &route, NULL);
}

static void comes_to(uint64_t ok, uint64_t error, uint64_t failed, uint64_t skipped)
{
    uint64_t want[] = {ok, error, failed, skipped};
    for (uint64_t by = mf_clock_ns() + UINT64_C(10000000000); mf_clock_ns() < by;) {
        bool all = true;
        for (int i = 0; i < MF_METER_COUNTS; i++)
            all = all && mf_load_relaxed(&w.meter->counts[i]) == want[i];
        if (all)
            break;
        CHECK(mf_loop_turn(w.loop, 1000000) >= 0);
    }
    for (int i = 0; i < MF_METER_COUNTS; i++)
        CHECK_INT(mf_load_relaxed(&w.meter->counts[i]), want[i]);
    CHECK_INT(mf_load_relaxed(&w.bare.local.counters.mirrored_skipped), skipped);
    CHECK_INT(mf_load_relaxed(&w.bare.local.counters.mirrored_failed), failed);
}

static int let_in(void)
{
    int fd = -1;
    for (uint64_t by = mf_clock_ns() + UINT64_C(10000000000); fd < 0 && mf_clock_ns() < by;) {
        CHECK(mf_loop_turn(w.loop, 1000000) >= 0);
        fd = accept(w.listener, NULL, NULL);
    }
    CHECK(fd >= 0);
    return fd;
}

/* The next whole frame that is a call. */
static struct mf_dubbo_head next(int fd)
{
    uint8_t bytes[MF_DUBBO_HEAD_LEN + BODY];
    struct mf_dubbo_head head;
    for (;;) {
        size_t want = MF_DUBBO_HEAD_LEN, got = 0;
        while (got < want) {
            CHECK(mf_loop_turn(w.loop, 1000000) >= 0);
            long n = recv(fd, bytes + got, want - got, MSG_DONTWAIT);
            if (n > 0)
                got += (size_t)n;
            if (got == MF_DUBBO_HEAD_LEN) {
                CHECK(mf_dubbo_parse_head(mf_slice_of(bytes, got), 1000, &head) >= 0);
                want = MF_DUBBO_HEAD_LEN + head.body_len;
            }
        }
        if (!(head.flags & MF_DUBBO_EVENT))
            return head;
    }
}

static void say(int fd, uint64_t id, uint8_t status)
{
    uint8_t bytes[MF_DUBBO_ERROR_ROOM];
    size_t len = mf_dubbo_put_error(bytes, id, MF_DUBBO_HESSIAN2, status, "x");
    CHECK_INT(send(fd, bytes, len, 0), (long)len);
}

static void test_sent(void)
{
    open_world(true);
    CHECK_INT(mirror(true, false), 0); /* it waits for its connection */
    int fd = let_in();
    struct mf_dubbo_head first = next(fd);
    CHECK(first.flags & MF_DUBBO_TWO_WAY);
    CHECK_INT(mirror(true, false), 0);
    CHECK_INT(mirror(false, false), 0); /* nothing is to be answered: it is done */
    struct mf_dubbo_head second = next(fd), third = next(fd);
    CHECK(first.id != second.id && !(third.flags & MF_DUBBO_TWO_WAY));
    comes_to(1, 0, 0, 0);
    say(fd, second.id, 20);
    say(fd, first.id, 80);
    say(fd, first.id, 20); /* once more */
    comes_to(2, 1, 0, 0);
    CHECK_INT(mf_load_relaxed(&w.bare.local.counters.mirrored), 3);
    CHECK_INT(mirror(true, false), 0);
    next(fd);
    close(fd);
    comes_to(2, 1, 1, 0);
    CHECK_INT(mirror(true, false), 0);
    fd = let_in();
    next(fd);
    mf_copies_sweep(&w.copies);
    close_world(true); /* in the midst of it */
    close(fd);
}

static void test_refused(void)
{
    open_world(false);
    for (int i = 0; i < 20; i++)
        CHECK_INT(mirror(true, false), 0);
    comes_to(0, 0, 20, 0);
    w.no_memory = true;
    CHECK_INT(mirror(true, false), 0);
    comes_to(0, 0, 21, 0);
    close_world(false);
}

static void test_limits(void)
{
    open_world(true);
    w.bare.limits.max_mirrored = 2;
    for (int i = 0; i < 5; i++)
        CHECK_INT(mirror(true, false), 0);
    comes_to(0, 0, 0, 3);
    CHECK_INT(mf_load_relaxed(&w.bare.local.counters.limit_max_mirrored), 3);
    w.bare.limits.max_mirrored = 100;
    w.bare.limits.mirror_body = BODY;
    CHECK_INT(mirror(true, false), 0);
    comes_to(0, 0, 0, 4);
    w.bare.limits.mirror_body = 1000;
    w.bare.limits.mirror_memory = 3 * (MF_DUBBO_HEAD_LEN + BODY);
    for (int i = 0; i < 5; i++)
        CHECK_INT(mirror(true, false), 0);
    comes_to(0, 0, 0, 8);
    CHECK_INT(mf_load_relaxed(&w.bare.local.counters.limit_mirror_memory), 4);
    close_world(true);
}

static uint64_t more(uint64_t id, size_t len, uint8_t parts)
{
    static const uint8_t bytes[4096];
    struct mf_message message = {.parts = parts, .data = mf_slice_of(bytes, len)};
    return mf_copies_more(&w.copies, id, &message);
}

static void test_content(void)
{
    open_world(false);
    w.bare.limits.mirror_body = 5000;
    uint64_t id = mirror(true, true);
    CHECK(id != 0);
    more(id, 4000, MF_PART_DATA);
    CHECK(w.copies.held >= 4000);
    mf_copies_rewind(&w.copies, id); /* to another provider, from the beginning */
    more(id, 4000, MF_PART_DATA);
    more(id, 1000, MF_PART_DATA);
    comes_to(0, 0, 0, 0);
    more(id, 1, MF_PART_DATA);
    comes_to(0, 0, 0, 1); /* too long */
    more(id, 1, MF_PART_DATA | MF_PART_END);
    mf_copies_rewind(&w.copies, id);
    mf_copies_drop(&w.copies, id);
    CHECK_INT(w.copies.held, 0);

    id = mirror(true, true);
    more(id, 10, MF_PART_DATA);
    mf_copies_drop(&w.copies, id);
    comes_to(0, 0, 0, 2);
    w.bare.limits.mirror_memory = 4500;
    id = mirror(true, true);
    more(id, 4096, MF_PART_DATA); /* of which there is little more than that left */
    more(id, 4096, MF_PART_DATA);
    comes_to(0, 0, 0, 3);
    w.bare.limits.mirror_memory = 1000000;
    id = mirror(true, true);
    more(id, 10, MF_PART_DATA | MF_PART_END); /* whole: and there is nobody */
    comes_to(0, 0, 1, 3);
    mirror(true, true); /* still open at the end */
    close_world(false);
}

/* Of two copies one is given up: the other goes on. */
static void test_one_of_two(void)
{
    mirrors = 2;
    open_world(false);
    uint64_t id = mirror(true, true);
    CHECK_INT(more(id, 10, MF_PART_DATA), id);
    CHECK_INT(w.copies.calls.n_live, 2);
    w.bare.limits.mirror_memory = w.copies.local.budget.for_peers + w.copies.held + 500;
    uint64_t other = more(id, 1000, MF_PART_DATA);
    comes_to(0, 0, 0, 1);
    CHECK(other != id && other != 0);
    CHECK_INT(more(other, 10, MF_PART_DATA | MF_PART_END), 0);
    comes_to(0, 0, 1, 1); /* whole: and there is nobody */
    close_world(false);
    mirrors = 1;
}

static void test_limited(void)
{
    open_world(false);
    for (int i = 0; i < 2; i++) {
        int rc;
        struct mf_call *call = mf_call_begin(&w.bare.calls, &w.caller, 1, 0, true, &rc);
        struct mf_request request = {.query = {.service = S("a.Cart"), .now = 1}};
        w.told = MF_OUTCOME_OK;
        CHECK(mf_limited(call, &request, w.actions) == (i == 1));
        if (i == 0)
            mf_call_step(call, MF_CALL_ON_FAULT, &(struct mf_call_input){.fault = &(struct mf_fault){MF_OUTCOME_LOST, "x"}});
        CHECK_INT(w.told, i == 0 ? MF_OUTCOME_LOST : MF_OUTCOME_LIMITED);
    }
    CHECK_INT(mf_load_relaxed(&w.bare.local.counters.calls_limited), 1);
    CHECK_INT(mf_load_relaxed(&w.bare.local.ended_here[MF_OUTCOME_LIMITED]), 1);
    mf_store_relaxed(&w.bare.local.counters.calls, 0);
    mf_store_relaxed(&w.bare.local.ended_here[MF_OUTCOME_LIMITED], 0);
    mf_store_relaxed(&w.bare.local.ended_here[MF_OUTCOME_LOST], 0);
    close_world(false);
}

int main(void)
{
    test_sent();
    test_refused();
    test_limits();
    test_content();
    test_one_of_two();
    test_limited();
    return test_end("call/copies");
}
