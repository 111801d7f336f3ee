#pragma once
/* h2_state: the states of a stream, RFC 9113 section 5.1, and what each frame means in each of them. Pure. */
#include <stdint.h>

enum mf_h2_state {
    MF_H2_IDLE,
    MF_H2_OPEN,
    MF_H2_LOCAL,  /* half-closed: we have ended */
    MF_H2_REMOTE, /* half-closed: the peer has ended */
    MF_H2_ENDED,  /* closed, and nothing more can be on its way but what the peer may have sent before it knew */
    MF_H2_RESET,  /* closed by us before the peer ended: what was on its way is let pass */
    MF_H2_BEYOND, /* not opened, above what our GOAWAY said: let pass */
    MF_H2_STATES,
};

enum mf_h2_event {
    MF_H2_IN_HEADERS,
    MF_H2_IN_DATA,
    MF_H2_IN_END,    /* END_STREAM of a frame that was taken */
    MF_H2_IN_RESET,
    MF_H2_IN_CREDIT,
    MF_H2_OUT_HEADERS,
    MF_H2_OUT_DATA,
    MF_H2_OUT_END,
    MF_H2_OUT_RESET,
    MF_H2_EVENTS,
};

enum mf_h2_verdict {
    MF_H2_BUG,        /* ours: asserts */
    MF_H2_TAKE,
    MF_H2_PASS,       /* ignored, but for the connection's window and its table of fields */
    MF_H2_CLOSED,     /* a stream error: STREAM_CLOSED */
    MF_H2_ALL_CLOSED, /* the same for the connection, where we are the server */
    MF_H2_PROTOCOL,   /* a connection error: PROTOCOL_ERROR */
};

struct mf_h2_step {
    uint8_t verdict, next;
};

struct mf_h2_step mf_h2_state_step(enum mf_h2_state state, enum mf_h2_event event);
