/* pool, lane: as many calls wait as may, for a stream and for a window: none of them is turned away for those that wait, and
 * so for itself. */
#include "h2_mesh.h"

enum { WAITING = 5 };

static void few_wait(struct mf_limits *limits)
{
    limits->max_pending = WAITING;
    limits->busy_connections = limits->spent_connections = 1;
    limits->h2_first_window = 65536;
}

static const uint32_t one_stream[] = {MF_H2_MAX_CONCURRENT_STREAMS, 1, 0};

static void answer(struct peer *peer, uint32_t id)
{
    say_head(peer, id, OK, false);
    say_head(peer, id, DONE, true);
    settle();
}

/* A stream becomes free while the window is spent, and a call without content takes it before that is known. */
static void test_window_then_stream(enum mf_direction direction)
{
    mesh_open(direction, 1, few_wait);
    struct peer *a = caller();
    say_head(a, 1, CALL, false);
    struct peer *b = provider_with(one_stream);
    say_much(a, 1, 60000, true);
    settle();
    hear(b);
    CHECK_INT(told_of(b, 1)->content, 60000);
    uint32_t id = 3;
    for (int i = 0; i < WAITING; i++, id += 2) {
        say_head(a, id, CALL, false);
        say_data(a, id, "w", true);
    }
    settle();
    answer(b, 1);
    CHECK_TOLD(a, 1, T_OK T_DONE);
    say_head(a, id, PLAIN, true);
    settle();
    pass(100);
    CHECK((hear(b), told_of(b, 3)->headed));
    CHECK_INT((hear(b), told_of(b, 5)->headed), false);
    for (uint32_t k = 3; k < id; k += 2)
        CHECK_TOLD(a, k, "");
    CHECK_INT(COUNTED(limit_max_pending), 0);
    for (uint32_t k = 3; k < id + 2; k += 2) {
        answer(b, k);
        pass(30);
    }
    for (uint32_t k = 3; k < id + 2; k += 2)
        CHECK_TOLD(a, k, T_OK T_DONE);
    CHECK_INT(COUNTED(calls_retried) + COUNTED(answers_local), 0);
    mesh_close();
}

int main(void)
{
    test_window_then_stream(MF_INBOUND);
    test_window_then_stream(MF_OUTBOUND);
    return test_end("h2_queued");
}
