#pragma once
/* h2_view: what an HTTP/2 request is to policy: which service and method it asks, at what authority, by when.
 *
 * What is shown are the bytes that are forwarded: nothing is decoded, normalised or joined, but for the authority, whose
 * case means nothing. Slices point into the fields, or the scratch. Pure: no malloc, no clock, no descriptor. */
#include "codec/h2_fields.h"
#include "codec/h2_grpc.h"

enum mf_h2_flavour {
    MF_H2_PLAIN,
    MF_H2_GRPC,   /* content-type application/grpc, with +format or ;parameters or without */
    MF_H2_TRIPLE, /* the same where Dubbo speaks: a field tri-* or `interface`, or a path with a context before the service;
                     application/triple; and any other content with a tri-* field whose path names service and method */
};

/* Room for what cannot be shown as it lies. MF_H2_SCRATCH suffices for requests as they are. */
enum { MF_H2_SCRATCH = 4096 };
struct mf_h2_scratch {
    uint8_t *to;
    size_t room, used;
};

struct mf_h2_view {
    uint8_t flavour;   /* enum mf_h2_flavour: how it is routed */
    uint8_t grpc;      /* not 0: its caller reads a grpc-status, and the number of what answers of ours have as content type:
                          mf_h2_view_type */
    bool bad_timeout;  /* a deadline that is not of its form, which is none; it passes as it is */
    bool mixed;        /* content types that differ: to be refused, as one reader may take the first and another the last */
    bool lost;         /* the scratch was too small for the authority, which is shown as it came: to be refused */
    struct mf_slice service, method; /* GRPC, TRIPLE: of "/context/a.b.C/m" the last two segments, empty where they are
                                        missing. PLAIN: the authority without port, the HTTP method */
    struct mf_slice alias;           /* another name of the service. GRPC, TRIPLE: the authority without port */
    struct mf_slice http_method, scheme;
    struct mf_slice authority;       /* in lower case, with its port; `host` where there is no :authority */
    struct mf_slice path, query;     /* cut at the first '?', which is in neither; query.ptr is NULL where there is none */
    struct mf_slice content_type;    /* the first one's; ptr is NULL where there is none */
    struct mf_slice version, group;  /* tri-service-*, the last one's; empty: none */
    int64_t timeout_ms;              /* the least of all deadlines, rounded up; 0: has passed; -1: none */
    int32_t timeout_at, tri_timeout_at; /* index of the field with the least grpc-timeout, tri-service-timeout; or -1 */
    uint8_t n_timeouts;              /* how many deadlines there are, of both names; 255: or more */
    int32_t baggage_at;              /* index of the first, or -1 */
};

/* Fields and marks as mf_hpack_decode gives them, well-formed, with what mf_h2_fields_request said of them. */
void mf_h2_view_of(const struct mf_pair *fields, const struct mf_h2_mark *marks, uint32_t n,
                   const struct mf_h2_request *request, struct mf_h2_scratch *scratch, struct mf_h2_view *out);

/* application/grpc or application/triple, with the +format that its caller sent where that is one that is known: it takes
 * no other, perhaps. */
struct mf_slice mf_h2_view_type(uint8_t grpc);

/* Whether two readers of the path could take it for two paths, so that policy would not look at what is served. 0, or
 * MF_EH2_PATH: neither begins with '/' nor is the '*' of OPTIONS
 * MF_EH2_PATH_TRICK: '\', %2f, %5c, %00, a segment that is "." or ".." also where it is %2e or has ";parameters", and for
 *   GRPC and TRIPLE an empty segment: to be refused before any rule is asked
 * MF_EH2_TYPE: nothing of the path: it has content types that differ
 * MF_EH2_PATH_SERVICE: GRPC, TRIPLE: service or method is missing: there is no such route
 * Upper case, ';', other escapes and, for PLAIN, empty segments are compared as they are. */
int mf_h2_view_path_check(const struct mf_h2_view *view);

/* Whether a consumer of Dubbo sent it. */
bool mf_h2_view_dubbo(const struct mf_h2_mark *marks, uint32_t n);

/* A field as it goes on when `left` ns are left of the least deadline: writes what goes in the place of a deadline's value,
 * never more than that was, and returns the length, at most MF_H2_DEADLINE_ROOM; 0: it is none, and goes on as it came.
 * To be asked of `timeout_at` and `tri_timeout_at`, where `n_timeouts` is 2 for the two or 1, else of each field. With `dubbo`
 * also of "_to", which is no deadline to us, but what Java's providers count down from where their callers ask for that. */
size_t mf_h2_view_deadline_put(struct mf_pair field, struct mf_h2_mark mark, bool dubbo, uint64_t left, uint8_t *to);

/* The value of a query parameter, as it is; the first one's, where there are several. `name=` and `name` alone have an
 * empty one. False: there is none. */
bool mf_h2_view_param(struct mf_slice query, struct mf_slice name, struct mf_slice *value);
