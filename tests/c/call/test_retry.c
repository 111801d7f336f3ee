/* retry: what is tried again after what, by all names; waits between tries; what a budget gives. */
#include "call/retry.h"
#include "test.h"

/* As Envoy 1.40 was seen to do it: for each name the answers and ends that it tries again after. */
enum { ANSWER_500, ANSWER_503, ANSWER_409, CLOSED, TRY_TIMEOUT, OVERLOADED, RATE_LIMITED, REFUSED, CANCEL, CASES };

static const struct mf_try cases[CASES] = {
    [ANSWER_500] = {.kind = MF_TRY_HTTP, .status = 500, .grpc = -1},
    [ANSWER_503] = {.kind = MF_TRY_HTTP, .status = 503, .grpc = -1},
    [ANSWER_409] = {.kind = MF_TRY_HTTP, .status = 409, .grpc = -1},
    [CLOSED] = {.kind = MF_TRY_RESET},
    [TRY_TIMEOUT] = {.kind = MF_TRY_TIMEOUT},
    [OVERLOADED] = {.kind = MF_TRY_HTTP, .status = 503, .grpc = -1},
    [RATE_LIMITED] = {.kind = MF_TRY_HTTP, .status = 503, .grpc = -1, .rate_limited = true},
    [REFUSED] = {.kind = MF_TRY_REFUSED},
    [CANCEL] = {.kind = MF_TRY_RESET},
};

static void test_names(void)
{
    struct {
        uint32_t on;
        bool wanted[CASES];
    } rows[] = {
        {MF_RETRY_5XX, {1, 1, 0, 1, 1, 1, 0, 1, 1}},
        {MF_RETRY_GATEWAY, {0, 1, 0, 1, 1, 1, 0, 1, 1}},
        {MF_RETRY_RESET, {0, 0, 0, 1, 1, 0, 0, 1, 1}},
        {MF_RETRY_REFUSED, {0, 0, 0, 0, 0, 0, 0, 1, 0}},
        {MF_RETRY_4XX, {0, 0, 1, 0, 0, 0, 0, 0, 0}},
        {MF_RETRY_CODES, {0, 1, 0, 0, 0, 1, 0, 0, 0}},
        {MF_RETRY_LIMITED, {0, 0, 0, 0, 0, 0, 1, 0, 0}},
        {MF_RETRY_UNAVAILABLE | MF_RETRY_CANCELLED | MF_RETRY_REFUSED | MF_RETRY_CODES, {0, 1, 0, 0, 0, 1, 0, 1, 0}},
        {0, {0}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct mf_retries retries = {.on = rows[i].on};
        retries.codes[503 / 64] |= UINT64_C(1) << 503 % 64;
        for (int n = 0; n < CASES; n++)
            CHECK_INT(mf_retry_wanted(&retries, &cases[n]), rows[i].wanted[n]);
    }
    struct mf_retries gateway = {.on = MF_RETRY_GATEWAY};
    for (int status = 100; status < 600; status++) {
        struct mf_try tried = {.kind = MF_TRY_HTTP, .status = status, .grpc = -1};
        CHECK_INT(mf_retry_wanted(&gateway, &tried), status >= 502 && status <= 504);
    }
}

/* A name and the statuses that it means, up to a 0; of gRPC those in an answer's head alone. */
static void test_statuses(void)
{
    struct {
        uint32_t on;
        uint8_t grpc[2], dubbo[8];
    } rows[] = {
        {MF_RETRY_CANCELLED, {1}, {0}},
        {MF_RETRY_DEADLINE, {4}, {30, 31}},
        {MF_RETRY_EXHAUSTED, {8}, {100}},
        {MF_RETRY_INTERNAL, {13}, {0}},
        {MF_RETRY_UNAVAILABLE, {14}, {35, 60}},
        {MF_RETRY_5XX, {0}, {30, 31, 35, 60, 70, 80, 100}},
        {MF_RETRY_GATEWAY, {0}, {30, 31, 35, 100}},
        {MF_RETRY_RESET, {0}, {35}},
        {MF_RETRY_REFUSED | MF_RETRY_4XX | MF_RETRY_LIMITED, {0}, {0}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct mf_retries retries = {.on = rows[i].on};
        for (int status = 0; status < 128; status++) {
            struct mf_try grpc = {.kind = MF_TRY_HTTP, .status = 200, .grpc = status};
            struct mf_try dubbo = {.kind = MF_TRY_DUBBO, .status = status};
            CHECK_INT(mf_retry_wanted(&retries, &grpc), status && memchr(rows[i].grpc, status, 2) != NULL);
            CHECK_INT(mf_retry_wanted(&retries, &dubbo), status && memchr(rows[i].dubbo, status, 8) != NULL);
        }
        struct mf_try late = {.kind = MF_TRY_TIMEOUT, .dubbo = true};
        bool wanted = retries.on & (MF_RETRY_5XX | MF_RETRY_GATEWAY | MF_RETRY_RESET | MF_RETRY_DEADLINE);
        CHECK_INT(mf_retry_wanted(&retries, &late), wanted);
        late.dubbo = false;
        CHECK_INT(mf_retry_wanted(&retries, &late), wanted && retries.on != MF_RETRY_DEADLINE);
    }
}

/* What is one protocol's status is not another's. */
static void test_codes(void)
{
    struct mf_retries retries = {.on = MF_RETRY_CODES};
    const int codes[] = {20, 50, 100, 101, 200, 599};
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        retries.codes[codes[i] / 64] |= UINT64_C(1) << codes[i] % 64;
    for (int status = -1; status < 1000; status++) {
        bool listed = false;
        for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
            listed |= codes[i] == status;
        struct mf_try dubbo = {.kind = MF_TRY_DUBBO, .status = status};
        struct mf_try http = {.kind = MF_TRY_HTTP, .status = status, .grpc = -1};
        CHECK_INT(mf_retry_wanted(&retries, &dubbo), listed && status <= 100);
        CHECK_INT(mf_retry_wanted(&retries, &http), listed && status > 100);
        struct mf_try other = {.kind = MF_TRY_TIMEOUT, .status = status};
        CHECK(!mf_retry_wanted(&retries, &other));
    }
}

/* Any wait below what it is at most, which doubles up to ten times the base. */
static void test_backoff(void)
{
    const uint64_t most[] = {40, 80, 160, 320, 400, 400, 400};
    for (uint32_t nth = 1; nth <= 7; nth++) {
        CHECK_INT(mf_retry_backoff(40, nth, 0), 0);
        CHECK_INT(mf_retry_backoff(40, nth, UINT64_C(1) << 63), most[nth - 1] * 500000);
        CHECK_INT(mf_retry_backoff(40, nth, UINT64_MAX), most[nth - 1] * 1000000 - 1);
    }
    CHECK_INT(mf_retry_backoff(40, UINT32_MAX, UINT64_MAX), 400000000 - 1);
    CHECK_INT(mf_retry_backoff(0, 1, UINT64_MAX), 0);
    CHECK_INT(mf_retry_backoff(UINT32_MAX, 9, UINT64_MAX), UINT64_C(42949672950) * 1000000 - 1);
}

#define SECOND UINT64_C(1000000000)

/* `calls` a second, evenly, for `seconds`, each of which fails and asks for a retry: how many it gets. */
static uint64_t spend(struct mf_retry_budget *budget, uint64_t *now, uint64_t *done, uint64_t calls, uint64_t seconds,
                      uint64_t rate)
{
    uint64_t given = 0;
    for (uint64_t i = 0; i < calls * seconds; i++) {
        *now += SECOND / calls;
        given += mf_retry_budget_take(budget, *now - SECOND, *now, *done, 20, rate);
        ++*done;
    }
    return given;
}

static void test_budget(void)
{
    struct mf_retry_budget budget = {0};
    uint64_t now = 77 * SECOND, done = 0;
    for (uint64_t calls = 1; calls <= 100000; calls *= 10) {
        uint64_t given = spend(&budget, &now, &done, calls, 5, 10000), most = calls + 5 * 10;
        uint64_t wanted = calls * 5 < most ? calls * 5 : most;
        CHECK(given <= most + 11); /* what was left of the second before */
        CHECK(given + 2 >= wanted);
    }
    /* What was saved while all was well is a second's. */
    done += 1000000;
    now += 1000 * SECOND;
    uint64_t given = 0;
    while (mf_retry_budget_take(&budget, 0, now, done, 20, 10000))
        given++;
    CHECK_INT(given, 1000 / 5 + 10);
    /* So is what was before it was first looked at. */
    struct mf_retry_budget first = {0};
    given = 0;
    while (mf_retry_budget_take(&first, 7 * SECOND, 9 * SECOND - 1, 1000, 20, 10000))
        given++;
    CHECK_INT(given, 500 / 5 + 10);
    /* A worker's part of the rate may be less than one. */
    struct mf_retry_budget little = {0};
    now = SECOND;
    CHECK(!mf_retry_budget_take(&little, 0, now, 0, 20, 625));
    given = 0;
    for (int i = 0; i < 1000; i++)
        given += mf_retry_budget_take(&little, 0, now += SECOND / 10, 0, 20, 625);
    CHECK(given >= 60 && given <= 63);
    /* None at all, and more than anybody asks for. */
    struct mf_retry_budget none = {0}, all = {0};
    for (uint64_t i = 0; i < 100; i++) {
        CHECK(!mf_retry_budget_take(&none, 0, SECOND * i, i, 0, 0));
        CHECK(mf_retry_budget_take(&all, 0, SECOND * (i + 1), i * 1000000000, UINT64_MAX, UINT64_MAX));
    }
}

int main(void)
{
    test_names();
    test_statuses();
    test_codes();
    test_backoff();
    test_budget();
    return test_end("retry");
}
