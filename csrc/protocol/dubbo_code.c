#include "protocol/dubbo_code.h"

#include "codec/dubbo.h"
#include "table/stat.h"

/* Outcome, status, and the place of the status in statistics (table/stat.h has their order). */
#define CODES(X)                                                                                                       \
    X(OK, MF_DUBBO_OK, 0)                                                                                              \
    X(REMOTE_ERROR, MF_DUBBO_SERVER_ERROR, 9)                                                                          \
    X(NO_ROUTE, MF_DUBBO_SERVICE_NOT_FOUND, 7)                                                                         \
    X(NO_PEER, MF_DUBBO_SERVER_ERROR, 9)                                                                               \
    X(NONE_UP, MF_DUBBO_SERVER_ERROR, 9)                                                                               \
    X(TIMEOUT, MF_DUBBO_SERVER_TIMEOUT, 3)                                                                             \
    X(LOST, MF_DUBBO_CHANNEL_INACTIVE, 4)                                                                              \
    X(BAD_REQUEST, MF_DUBBO_BAD_REQUEST, 5)                                                                            \
    X(TOO_LONG, MF_DUBBO_BAD_REQUEST, 5)                                                                               \
    X(BAD_ANSWER, MF_DUBBO_BAD_RESPONSE, 6)                                                                            \
    X(OVERLOAD, MF_DUBBO_OVERLOAD, 11)                                                                                 \
    X(CANCELLED, MF_DUBBO_CHANNEL_INACTIVE, MF_STAT_LOST)                                                              \
    X(BUSY, MF_DUBBO_OVERLOAD, 11)                                                                                     \
    X(RULE, MF_DUBBO_SERVER_ERROR, 9)                                                                                      \
    X(LIMITED, MF_DUBBO_OVERLOAD, 11)

uint8_t mf_dubbo_code(enum mf_outcome outcome)
{
    static const uint8_t codes[MF_OUTCOMES] = {
#define X(outcome, status, stat) [MF_OUTCOME_##outcome] = status,
        CODES(X)
#undef X
    };
    return codes[outcome];
}

const uint8_t mf_dubbo_code_stats[MF_OUTCOMES] = {
#define X(outcome, status, stat) [MF_OUTCOME_##outcome] = stat,
    CODES(X)
#undef X
};

enum mf_outcome mf_dubbo_code_outcome(uint8_t status)
{
    return status == MF_DUBBO_OK ? MF_OUTCOME_OK : MF_OUTCOME_REMOTE_ERROR;
}
