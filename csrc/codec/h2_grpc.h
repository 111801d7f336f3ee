#pragma once
/* h2_grpc: texts that gRPC and Triple put into fields: deadlines, and the message of a status (gRPC over HTTP/2).
 *
 * Pure: no malloc, no clock, no descriptor. */
#include "base/slice.h"

enum {
    MF_H2_NO_TIMEOUT = -1,
    MF_H2_TIMEOUT_ROOM = 9,    /* grpc-timeout: 8 digits and a unit */
    MF_H2_MS_ROOM = 20,        /* tri-service-timeout: digits */
    MF_H2_DEADLINE_ROOM = MF_H2_MS_ROOM, /* either */
    MF_H2_GRPC_MESSAGE = 1024, /* the longest grpc-message that we make */
};

/* grpc-timeout in ns, INT64_MAX where it is more. MF_H2_NO_TIMEOUT: not of the form (1 to 8 digits and one of H M S m u n),
 * which is no deadline. 0 has passed already. */
int64_t mf_h2_grpc_timeout_read(struct mf_slice text);
/* Writes what is left: in the finest unit that 8 digits suffice for, rounded down, so never more than `ns`; but 1n for 0,
 * as it must be positive. Returns the length, at most MF_H2_TIMEOUT_ROOM. */
size_t mf_h2_grpc_timeout_put(uint8_t *to, uint64_t ns);

/* tri-service-timeout in ns, INT64_MAX where it is more. MF_H2_NO_TIMEOUT: not 1 to 18 digits. 0 is none, as Dubbo has
 * it. */
int64_t mf_h2_grpc_ms_read(struct mf_slice text);
/* Writes whole ms, rounded down, but 1 where less is left, as 0 would be none. At most MF_H2_MS_ROOM. */
size_t mf_h2_grpc_ms_put(uint8_t *to, uint64_t ns);

/* grpc-message: %XX for all but 0x20 to 0x7e, for '%', for '+', which Dubbo reads as a space, and for spaces at the ends,
 * which no field may have. What does not fit is cut off, not within an escape nor a character of UTF-8. Returns the
 * length, at most `room`. */
size_t mf_h2_grpc_message_put(uint8_t *to, size_t room, struct mf_slice text);
