#pragma once
/* dubbo_call: a Dubbo2 request on its way: read, labelled, routed, stamped and sent; and its answer on the way back. */
#include "codec/dubbo.h"
#include "proxy/call.h"
#include "proxy/conn.h"

/* A whole request from a caller. It ends in exactly one step of a call, or in an answer where no call could begin. */
void mf_dubbo_request_in(struct mf_conn *down, const struct mf_dubbo_head *head, struct mf_slice body);
/* Refuses a request that no call was begun for. */
void mf_dubbo_refuse(struct mf_conn *down, const struct mf_dubbo_head *head, const struct mf_fault *fault);

/* For mf_protocol_ops, see there. */
void mf_dubbo_route_again(struct mf_call *call);
int mf_dubbo_send_queued(struct mf_conn *up, struct mf_call *call);
void mf_dubbo_deliver(struct mf_conn *down, struct mf_call *call, const void *head, struct mf_slice body);
void mf_dubbo_answer(struct mf_conn *down, struct mf_call *call, const struct mf_fault *fault);
