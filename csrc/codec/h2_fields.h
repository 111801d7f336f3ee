#pragma once
/* h2_fields: whether the fields of a request, a response or trailers are well-formed, RFC 9113 sections 8.1 to 8.3
 * and 8.5. What is not, is never passed on: the stream ends with PROTOCOL_ERROR, and each error names the rule.
 *
 * Fields come as mf_hpack_decode gives them, with their marks; mf_h2_mark_judge makes a mark of any other field.
 * Pure: no malloc, no clock, no descriptor. Every slice points where the fields do. */
#include "base/err.h"
#include "codec/h2_name.h"

enum { MF_H2_NO_LENGTH = -1 };

struct mf_h2_request {
    struct mf_slice method, scheme, authority, path; /* {NULL, 0} where absent: only `authority`, and in a CONNECT */
    struct mf_slice host;   /* the field `host`, {NULL, 0} where absent; the same place as `authority` where both are */
    int64_t content_length; /* MF_H2_NO_LENGTH where absent */
    uint32_t regular;       /* index of the first field that is no pseudo-header field */
    uint32_t at;            /* after an error: of which field; n, where one is missing */
    bool connect, trailers; /* the method is CONNECT; `te: trailers` is there */
};

/* 0 or MF_EH2_*. Forbidden is besides what RFC 9113 names: control characters in values, all that is no token in
 * names, space, controls and '#' in :path, userinfo and what no host can have in :authority and host, and
 * content-length twice. A request with neither :authority nor host is let pass: its service may be named by the path. */
int mf_h2_fields_request(const struct mf_pair *fields, const struct mf_h2_mark *marks, uint32_t n,
                         struct mf_h2_request *out);

struct mf_h2_response {
    int64_t content_length;
    uint32_t regular, at;
    uint16_t status; /* 100 to 999, and not 101, which HTTP/2 does not have (8.6); below 200: interim */
};
int mf_h2_fields_response(const struct mf_pair *fields, const struct mf_h2_mark *marks, uint32_t n,
                          struct mf_h2_response *out);

/* 0 or MF_EH2_*, and then `*at`. */
int mf_h2_fields_trailers(const struct mf_pair *fields, const struct mf_h2_mark *marks, uint32_t n, uint32_t *at);

/* What a response's content-length says of its content: MF_H2_NO_LENGTH, nothing, for the answer to HEAD, a 1xx, 204
 * or 304, and a 2xx to CONNECT (8.1.1; RFC 9110 8.6). The method is the request's, and not to be told by the
 * response. */
int64_t mf_h2_fields_expect(const struct mf_h2_response *response, struct mf_slice method);

/* Whether `got` bytes of content may have come where `length` are to be (MF_H2_NO_LENGTH: any): 0 or MF_EH2_CONTENT.
 * At each DATA frame, and with `ended` when the stream has ended. */
int mf_h2_fields_content(int64_t length, uint64_t got, bool ended);

/* True when two authorities name the same place: upper case is lower case, and the scheme's own port may be left out. */
bool mf_h2_fields_same_authority(struct mf_slice scheme, struct mf_slice a, struct mf_slice b);
