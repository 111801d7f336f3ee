/* h2_code: what each outcome is for gRPC and for HTTP, where it is counted, and what peers' statuses and resets are. */
#include "codec/h2_frame.h"
#include "protocol/h2_code.h"
#include "table/stat.h"
#include "test.h"

static void test_answers(void)
{
    const struct {
        int grpc, http;
        uint32_t reset;
    } rows[MF_OUTCOMES] = {
        [MF_OUTCOME_OK] = {0, 200, MF_H2_NO_ERROR},
        [MF_OUTCOME_REMOTE_ERROR] = {2, 500, MF_H2_INTERNAL_ERROR},
        [MF_OUTCOME_NO_ROUTE] = {12, 404, MF_H2_INTERNAL_ERROR},
        [MF_OUTCOME_NO_PEER] = {14, 503, MF_H2_INTERNAL_ERROR},
        [MF_OUTCOME_NONE_UP] = {14, 503, MF_H2_INTERNAL_ERROR},
        [MF_OUTCOME_TIMEOUT] = {4, 504, MF_H2_CANCEL},
        [MF_OUTCOME_LOST] = {14, 503, MF_H2_INTERNAL_ERROR},
        [MF_OUTCOME_BAD_REQUEST] = {13, 400, MF_H2_PROTOCOL_ERROR},
        [MF_OUTCOME_TOO_LONG] = {8, 431, MF_H2_ENHANCE_YOUR_CALM},
        [MF_OUTCOME_BAD_ANSWER] = {13, 502, MF_H2_INTERNAL_ERROR},
        [MF_OUTCOME_OVERLOAD] = {8, 429, MF_H2_ENHANCE_YOUR_CALM},
        [MF_OUTCOME_CANCELLED] = {1, 499, MF_H2_CANCEL},
        [MF_OUTCOME_BUSY] = {8, 503, MF_H2_ENHANCE_YOUR_CALM},
        [MF_OUTCOME_RULE] = {2, 500, MF_H2_INTERNAL_ERROR},
        [MF_OUTCOME_LIMITED] = {8, 429, MF_H2_ENHANCE_YOUR_CALM},
    };
    for (int i = 0; i < MF_OUTCOMES; i++) {
        enum mf_outcome outcome = (enum mf_outcome)i;
        bool told = outcome != MF_OUTCOME_CANCELLED;
        CHECK(rows[i].http != 0); /* a new outcome has its row */
        CHECK_INT(mf_h2_code_grpc(outcome), rows[i].grpc);
        CHECK_INT(mf_h2_code_http(outcome), rows[i].http);
        CHECK_INT(mf_h2_code_reset(outcome), rows[i].reset);
        CHECK_INT(mf_h2_code_grpc_stats[i], told ? mf_stat_grpc_index(rows[i].grpc) : MF_STAT_LOST);
        CHECK_INT(mf_h2_code_http_stats[i], told ? mf_stat_http_index(rows[i].http) : MF_STAT_LOST);
        /* What is counted as well done is what a peer's same status would be. */
        CHECK_INT(mf_h2_code_outcome_grpc(rows[i].grpc) == MF_OUTCOME_OK, outcome == MF_OUTCOME_OK);
        CHECK(mf_h2_code_reset(outcome) != MF_H2_REFUSED_STREAM);
    }
}

static void test_statuses(void)
{
    const struct {
        const char *text;
        int http, want;
    } rows[] = {
        {"0", 200, 0},    {"16", 200, 16},  {"14", 503, 14}, {"0", 503, 0},   {"17", 200, 17}, {"007", 200, 7},
        {"-1", 200, 2},   {"1x", 200, 2},   {" 1", 200, 2},  {"+1", 200, 2},  {"999999999", 200, 999999999},
        {"9999999999", 200, 2}, {"4294967296", 200, 2},
        {"", 200, 2},     {"", 400, 13},    {"", 401, 16},   {"", 403, 7},    {"", 404, 12},   {"", 429, 14},
        {"", 431, 13},    {"", 502, 14},    {"", 503, 14},   {"", 504, 14},   {"", 500, 2},    {"", 302, 2},
        {"", 0, 2},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        CHECK_INT(mf_h2_code_grpc_of_answer(mf_slice_str(rows[i].text), rows[i].http), rows[i].want);
    CHECK_INT(mf_h2_code_outcome_grpc(1), MF_OUTCOME_REMOTE_ERROR);
    CHECK_INT(mf_h2_code_outcome_grpc(17), MF_OUTCOME_REMOTE_ERROR);
    const int well[] = {100, 200, 204, 304, 400, 404, 429, 499}, badly[] = {500, 503, 599, 600, 999, 0, 99};
    for (size_t i = 0; i < sizeof well / sizeof *well; i++)
        CHECK_INT(mf_h2_code_outcome_http(well[i]), MF_OUTCOME_OK);
    for (size_t i = 0; i < sizeof badly / sizeof *badly; i++) {
        CHECK_INT(mf_h2_code_outcome_http(badly[i]), MF_OUTCOME_REMOTE_ERROR);
        CHECK_INT(mf_stat_http_index(badly[i]), mf_stat_http_index(500)); /* counted as an error, too */
    }
}

static void test_resets(void)
{
    /* By code: gRPC's table in its description of itself over HTTP/2. STREAM_CLOSED and HTTP_1_1_REQUIRED are not in it. */
    const int rows[] = {13, 13, 13, 13, 13, 2, 13, 14, 1, 13, 13, 8, 7, 2};
    for (uint32_t code = 0; code < sizeof rows / sizeof *rows; code++)
        CHECK_INT(mf_h2_code_grpc_of_reset(code), rows[code]);
    CHECK_INT(mf_h2_code_grpc_of_reset(MF_H2_HTTP_1_1_REQUIRED + 1), 2);
    CHECK_INT(mf_h2_code_grpc_of_reset(UINT32_MAX), 2);
}

int main(void)
{
    test_answers();
    test_statuses();
    test_resets();
    return test_end("h2_code");
}
