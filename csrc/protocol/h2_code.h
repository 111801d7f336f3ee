#pragma once
/* h2_code: outcomes as grpc-status, as HTTP status and as codes of RST_STREAM, and back. Pure. */
#include "base/slice.h"
#include "call/outcome.h"

/* The statuses of the local answer. */
int mf_h2_code_grpc(enum mf_outcome outcome);
int mf_h2_code_http(enum mf_outcome outcome);
/* The code that cuts off an answer of which parts were delivered; enum mf_h2_code. */
uint32_t mf_h2_code_reset(enum mf_outcome outcome);

/* The status of an answer to a gRPC call: what its `grpc-status` says; where that is empty or not there, what gRPC makes of
 * its HTTP status. */
int mf_h2_code_grpc_of_answer(struct mf_slice grpc_status, int http_status);
/* What gRPC makes of an answer that ended by RST_STREAM with this code. */
int mf_h2_code_grpc_of_reset(uint32_t code);

/* What a peer's status is. Of HTTP's the 5xx alone are errors, as for Envoy and Istio: a 4xx is an answer that was wanted. */
enum mf_outcome mf_h2_code_outcome_grpc(int grpc_status);
enum mf_outcome mf_h2_code_outcome_http(int http_status);

/* By outcome: the place in statistics that it is counted under. */
extern const uint8_t mf_h2_code_grpc_stats[MF_OUTCOMES];
extern const uint8_t mf_h2_code_http_stats[MF_OUTCOMES];
