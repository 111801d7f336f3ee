#include "protocol/h2_code.h"

#include "codec/h2_frame.h"
#include "table/stat.h"

enum { /* those of gRPC that are ours to give */
    OK = 0, CANCELLED = 1, UNKNOWN = 2, DEADLINE = 4, DENIED = 7, EXHAUSTED = 8, UNIMPLEMENTED = 12, INTERNAL = 13,
    UNAVAILABLE = 14, UNAUTHENTICATED = 16,
};

/* Outcome, grpc-status, HTTP status, RST_STREAM.
 *
 * What cannot be read is INTERNAL: gRPC leaves INVALID_ARGUMENT to applications. An end by time is CANCEL, which callers
 * whose own deadline is over take for that; no other is, since they would not ask again. REFUSED_STREAM would be asked
 * again, though it may have been executed. CANCELLED is told to nobody. */
#define CODES(X)                                                                                                       \
    X(OK, OK, 200, MF_H2_NO_ERROR)                                                                                     \
    X(REMOTE_ERROR, UNKNOWN, 500, MF_H2_INTERNAL_ERROR)                                                                \
    X(NO_ROUTE, UNIMPLEMENTED, 404, MF_H2_INTERNAL_ERROR)                                                              \
    X(NO_PEER, UNAVAILABLE, 503, MF_H2_INTERNAL_ERROR)                                                                 \
    X(NONE_UP, UNAVAILABLE, 503, MF_H2_INTERNAL_ERROR)                                                                 \
    X(TIMEOUT, DEADLINE, 504, MF_H2_CANCEL)                                                                            \
    X(LOST, UNAVAILABLE, 503, MF_H2_INTERNAL_ERROR)                                                                    \
    X(BAD_REQUEST, INTERNAL, 400, MF_H2_PROTOCOL_ERROR)                                                                \
    X(TOO_LONG, EXHAUSTED, 431, MF_H2_ENHANCE_YOUR_CALM)                                                               \
    X(BAD_ANSWER, INTERNAL, 502, MF_H2_INTERNAL_ERROR)                                                                 \
    X(OVERLOAD, EXHAUSTED, 429, MF_H2_ENHANCE_YOUR_CALM)                                                               \
    X(CANCELLED, CANCELLED, 499, MF_H2_CANCEL)                                                                         \
    X(BUSY, EXHAUSTED, 503, MF_H2_ENHANCE_YOUR_CALM)                                                                   \
    X(RULE, UNKNOWN, 500, MF_H2_INTERNAL_ERROR)                                                                        \
    X(LIMITED, EXHAUSTED, 429, MF_H2_ENHANCE_YOUR_CALM)

int mf_h2_code_grpc(enum mf_outcome outcome)
{
    static const uint8_t codes[MF_OUTCOMES] = {
#define X(outcome, grpc, http, reset) [MF_OUTCOME_##outcome] = grpc,
        CODES(X)
#undef X
    };
    return codes[outcome];
}

int mf_h2_code_http(enum mf_outcome outcome)
{
    static const uint16_t codes[MF_OUTCOMES] = {
#define X(outcome, grpc, http, reset) [MF_OUTCOME_##outcome] = http,
        CODES(X)
#undef X
    };
    return codes[outcome];
}

uint32_t mf_h2_code_reset(enum mf_outcome outcome)
{
    static const uint8_t codes[MF_OUTCOMES] = {
#define X(outcome, grpc, http, reset) [MF_OUTCOME_##outcome] = reset,
        CODES(X)
#undef X
    };
    return codes[outcome];
}

#define STAT(outcome, place) [MF_OUTCOME_##outcome] = MF_OUTCOME_##outcome == MF_OUTCOME_CANCELLED ? MF_STAT_LOST : (place),

const uint8_t mf_h2_code_grpc_stats[MF_OUTCOMES] = {
#define X(outcome, grpc, http, reset) STAT(outcome, MF_STAT_GRPC + grpc)
    CODES(X)
#undef X
};

const uint8_t mf_h2_code_http_stats[MF_OUTCOMES] = {
#define X(outcome, grpc, http, reset) STAT(outcome, MF_STAT_HTTP + (http) / 100 - 1)
    CODES(X)
#undef X
};

/* gRPC's own table, for answers that do not say. */
static int grpc_of_http(int status)
{
    switch (status) {
    case 400:
    case 431:
        return INTERNAL;
    case 401:
        return UNAUTHENTICATED;
    case 403:
        return DENIED;
    case 404:
        return UNIMPLEMENTED;
    case 429:
    case 502:
    case 503:
    case 504:
        return UNAVAILABLE;
    }
    return UNKNOWN;
}

int mf_h2_code_grpc_of_answer(struct mf_slice grpc_status, int http_status)
{
    if (grpc_status.len == 0)
        return grpc_of_http(http_status);
    if (grpc_status.len > 9)
        return UNKNOWN;
    int status = 0;
    for (size_t i = 0; i < grpc_status.len; i++) {
        if (grpc_status.ptr[i] < '0' || grpc_status.ptr[i] > '9')
            return UNKNOWN;
        status = status * 10 + (grpc_status.ptr[i] - '0');
    }
    return status;
}

int mf_h2_code_grpc_of_reset(uint32_t code)
{
    switch (code) {
    case MF_H2_REFUSED_STREAM:
        return UNAVAILABLE;
    case MF_H2_CANCEL:
        return CANCELLED;
    case MF_H2_ENHANCE_YOUR_CALM:
        return EXHAUSTED;
    case MF_H2_INADEQUATE_SECURITY:
        return DENIED;
    case MF_H2_NO_ERROR:
    case MF_H2_PROTOCOL_ERROR:
    case MF_H2_INTERNAL_ERROR:
    case MF_H2_FLOW_CONTROL_ERROR:
    case MF_H2_SETTINGS_TIMEOUT:
    case MF_H2_FRAME_SIZE_ERROR:
    case MF_H2_COMPRESSION_ERROR:
    case MF_H2_CONNECT_ERROR:
        return INTERNAL;
    }
    return UNKNOWN; /* gRPC names none for the rest */
}

enum mf_outcome mf_h2_code_outcome_grpc(int grpc_status)
{
    return grpc_status == OK ? MF_OUTCOME_OK : MF_OUTCOME_REMOTE_ERROR;
}

enum mf_outcome mf_h2_code_outcome_http(int http_status)
{
    return http_status >= 100 && http_status < 500 ? MF_OUTCOME_OK : MF_OUTCOME_REMOTE_ERROR;
}
