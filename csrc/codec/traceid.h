#pragma once
/* traceid: the part of a tracing header that names the whole trace, in the formats in use. */
#include "base/slice.h"

enum mf_traceid_format {
    MF_TRACEID_PLAIN,       /* x-request-id, X-B3-TraceId, EagleEye-TraceID: the value itself */
    MF_TRACEID_TRACEPARENT, /* W3C: version-traceid-parent-flags */
    MF_TRACEID_B3,          /* b3 single header: traceid-spanid-... */
    MF_TRACEID_SW8,         /* SkyWalking: 1-base64(traceid)-... ; the base64 text is taken as it is */
};

enum { MF_TRACEID_LEAST = 2 }; /* bytes, without marks around them: one digit is a flag, and no trace's own */

/* Borrowed from `value`; empty when the value is not of that format, or what it has there names no trace, in any format:
 * nothing but zeros, blanks and marks, less than MF_TRACEID_LEAST, or a word for none (null, undefined, unknown). */
struct mf_slice mf_traceid_of(enum mf_traceid_format format, struct mf_slice value);
/* The format that goes with a key by its name, ignoring case; MF_TRACEID_PLAIN for others. */
enum mf_traceid_format mf_traceid_format_of(struct mf_slice key);
