#include "protocol/h2_state.h"

#define STAY(verdict, state) {MF_H2_##verdict, MF_H2_##state}
#define GO(state) {MF_H2_TAKE, MF_H2_##state}

static const struct mf_h2_step steps[MF_H2_STATES][MF_H2_EVENTS] = {
    [MF_H2_IDLE] = {
        [MF_H2_IN_HEADERS] = GO(OPEN),
        [MF_H2_IN_DATA] = STAY(PROTOCOL, IDLE),
        [MF_H2_IN_RESET] = STAY(PROTOCOL, IDLE),
        [MF_H2_IN_CREDIT] = STAY(PROTOCOL, IDLE),
        [MF_H2_OUT_HEADERS] = GO(OPEN),
    },
    [MF_H2_OPEN] = {
        [MF_H2_IN_HEADERS] = GO(OPEN),
        [MF_H2_IN_DATA] = GO(OPEN),
        [MF_H2_IN_END] = GO(REMOTE),
        [MF_H2_IN_RESET] = GO(ENDED),
        [MF_H2_IN_CREDIT] = GO(OPEN),
        [MF_H2_OUT_HEADERS] = GO(OPEN),
        [MF_H2_OUT_DATA] = GO(OPEN),
        [MF_H2_OUT_END] = GO(LOCAL),
        [MF_H2_OUT_RESET] = GO(RESET),
    },
    [MF_H2_LOCAL] = {
        [MF_H2_IN_HEADERS] = GO(LOCAL),
        [MF_H2_IN_DATA] = GO(LOCAL),
        [MF_H2_IN_END] = GO(ENDED),
        [MF_H2_IN_RESET] = GO(ENDED),
        [MF_H2_IN_CREDIT] = STAY(PASS, LOCAL), /* of what it had not seen the end of yet */
        [MF_H2_OUT_RESET] = GO(RESET),
    },
    [MF_H2_REMOTE] = {
        [MF_H2_IN_HEADERS] = STAY(CLOSED, REMOTE),
        [MF_H2_IN_DATA] = STAY(CLOSED, REMOTE),
        [MF_H2_IN_RESET] = GO(ENDED),
        [MF_H2_IN_CREDIT] = GO(REMOTE),
        [MF_H2_OUT_HEADERS] = GO(REMOTE),
        [MF_H2_OUT_DATA] = GO(REMOTE),
        [MF_H2_OUT_END] = GO(ENDED),
        [MF_H2_OUT_RESET] = GO(ENDED),
    },
    [MF_H2_ENDED] = {
        [MF_H2_IN_HEADERS] = STAY(ALL_CLOSED, ENDED),
        [MF_H2_IN_DATA] = STAY(CLOSED, ENDED),
        [MF_H2_IN_RESET] = STAY(PASS, ENDED),
        [MF_H2_IN_CREDIT] = STAY(PASS, ENDED),
        [MF_H2_OUT_RESET] = GO(ENDED), /* the answer to a frame that came too late */
    },
    [MF_H2_RESET] = {
        [MF_H2_IN_HEADERS] = STAY(PASS, RESET),
        [MF_H2_IN_DATA] = STAY(PASS, RESET),
        [MF_H2_IN_RESET] = STAY(PASS, RESET),
        [MF_H2_IN_CREDIT] = STAY(PASS, RESET),
    },
    [MF_H2_BEYOND] = {
        [MF_H2_IN_HEADERS] = STAY(PASS, BEYOND),
        [MF_H2_IN_DATA] = STAY(PASS, BEYOND),
        [MF_H2_IN_RESET] = STAY(PASS, BEYOND),
        [MF_H2_IN_CREDIT] = STAY(PASS, BEYOND),
    },
};

struct mf_h2_step mf_h2_state_step(enum mf_h2_state state, enum mf_h2_event event)
{
    return steps[state][event];
}
