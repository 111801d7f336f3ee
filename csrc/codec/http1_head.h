#pragma once
/* http1_head: the line and the fields of an HTTP/1 request, as far as policy looks at them; RFC 9112. What two readers
 * might read in two ways is refused. Nothing of a body is known here.
 *
 * 1. mf_http1_head_end, with more bytes each time, until the head is whole  2. mf_http1_head_read  3. as it is wanted,
 * mf_http1_head_fields, _service, _call. Slices point into the head. Pure: no malloc, no clock. */
#include "base/err.h"
#include "base/slice.h"

enum { MF_HTTP1_HOST = 255 }; /* longest host and port */

struct mf_http1_head {
    struct mf_slice method;
    struct mf_slice scheme;      /* of an absolute target; else empty */
    struct mf_slice authority;   /* host and port: the target's own where it has one, else the Host field's; may be empty */
    struct mf_slice host;        /* of it, without the port; IPv6 in its brackets */
    struct mf_slice path, query; /* without `?`. The path is `*` for all of a server, and empty for CONNECT */
    struct mf_slice fields;      /* from the first to the last CR LF */
    uint32_t n_fields;
    uint8_t minor;               /* of the version: HTTP/1.minor */
    bool connect;
};

/* Looks for the empty line from `*seen` on, at first 0. 0: the head is `*seen` bytes long. MF_EMORE: `*seen` is what needs
 * not be looked at again. MF_EHTTP1_END: a line ends in LF alone. */
int mf_http1_head_end(struct mf_slice in, size_t *seen);
/* Reads a whole head. 0 or MF_EHTTP1_*. */
int mf_http1_head_read(struct mf_slice head, struct mf_http1_head *out);
/* Its n_fields fields; values without the spaces around them. */
void mf_http1_head_fields(const struct mf_http1_head *head, struct mf_pair *to);
/* The host in lower case, in `room` where it is not already. */
struct mf_slice mf_http1_head_service(const struct mf_http1_head *head, uint8_t room[MF_HTTP1_HOST]);
/* What Triple's JSON calls: of `/x/a.b.C/m` the service a.b.C and the method m. False: the path says neither. */
bool mf_http1_head_call(const struct mf_http1_head *head, struct mf_slice *service, struct mf_slice *method);
