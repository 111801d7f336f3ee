/* verdict: what answers and ends say of a peer. */
#include "call/verdict.h"

#include "table/stat.h"
#include "test.h"

static int of_dubbo(int status)
{
    struct mf_verdict verdict = mf_verdict_of_answer(mf_stat_status_index(status), (uint32_t)status);
    return verdict.local ? -verdict.code : verdict.code;
}

static int of_grpc(int status)
{
    return mf_verdict_of_answer(mf_stat_grpc_index(status), (uint32_t)status).code;
}

static void test_dubbo(void)
{
    const int told[][2] = {{20, 200}, {30, 504}, {31, 504}, {35, -503}, {60, 500}, {70, 500}, {80, 500}, {100, 503},
                           {25, 0},   {40, 0},   {50, 0},   {90, 0},    {0, 0},    {21, 0},   {99, 0},   {255, 0}};
    for (size_t i = 0; i < sizeof told / sizeof *told; i++)
        CHECK_INT(of_dubbo(told[i][0]), told[i][1]);
}

static void test_grpc(void)
{
    const int errors[] = {2, 4, 12, 13, 14, 15}, gateway[] = {4, 14};
    for (int status = 0; status <= 16; status++) {
        bool error = false, gate = false;
        for (size_t i = 0; i < sizeof errors / sizeof *errors; i++)
            error |= errors[i] == status;
        for (size_t i = 0; i < sizeof gateway / sizeof *gateway; i++)
            gate |= gateway[i] == status;
        int code = of_grpc(status);
        CHECK_INT(code >= 500, error);
        CHECK_INT(code >= 502 && code <= 504, gate);
        CHECK(code >= 200);
    }
    CHECK_INT(of_grpc(8), 429);
    CHECK_INT(of_grpc(17), 500);
    CHECK_INT(of_grpc(99), 500);
    /* No grpc-status: HTTP's. */
    CHECK_INT(mf_verdict_of_answer(mf_stat_grpc_index(12), 404).code, 404);
    CHECK_INT(mf_verdict_of_answer(mf_stat_grpc_index(14), 503).code, 503);
}

static void test_http(void)
{
    const uint32_t same[] = {100, 200, 302, 404, 499, 500, 503, 599};
    for (size_t i = 0; i < sizeof same / sizeof *same; i++)
        CHECK_INT(mf_verdict_of_answer(mf_stat_http_index((int)same[i]), same[i]).code, same[i]);
    CHECK_INT(mf_verdict_of_answer(mf_stat_http_index(700), 700).code, 500);
    CHECK_INT(mf_verdict_of_answer(mf_stat_http_index(0), 0).code, 500);
}

static void test_here(void)
{
    for (int outcome = 0; outcome < MF_OUTCOMES; outcome++) {
        struct mf_verdict verdict = mf_verdict_of_outcome(outcome, true);
        bool counts = outcome == MF_OUTCOME_TIMEOUT || outcome == MF_OUTCOME_LOST;
        CHECK_INT(verdict.code > 0, counts);
        CHECK_INT(verdict.local, counts);
    }
    CHECK_INT(mf_verdict_of_outcome(MF_OUTCOME_TIMEOUT, true).code, 504);
    CHECK_INT(mf_verdict_of_outcome(MF_OUTCOME_TIMEOUT, false).code, 503);
    CHECK_INT(mf_verdict_of_outcome(MF_OUTCOME_LOST, true).code, 503);
    CHECK_INT(mf_verdict_of_answer(MF_STAT_LOST, 0).code, 503);
}

int main(void)
{
    test_dubbo();
    test_grpc();
    test_http();
    test_here();
    return test_end("call/verdict");
}
