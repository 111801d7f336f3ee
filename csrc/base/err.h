#pragma once
/* err: every error the core returns, listed once.
 *
 * One convention everywhere: > 0 bytes or count, 0 done, < 0 error. -1..-4095 is a negated errno, ours start at -5000.
 * Kinds: `more` is no failure (wait for bytes); `protocol` bad bytes; `limit` a named limit bit; `state` a call or a
 * peer is not in the state asked for. */

#define MF_ERRORS(X)                                                                                                   \
    X(MF_EMORE, -5000, more, "more bytes are needed")                                                                  \
    X(MF_ELIMIT, -5001, limit, "a limit was reached")                                                                  \
    X(MF_ECLOSED, -5002, state, "already closed")                                                                      \
    X(MF_EADDR, -5003, protocol, "not an address; write tcp://host:port or unix:///path")                              \
    X(MF_EDUBBO_MAGIC, -5100, protocol, "not a Dubbo2 head")                                                           \
    X(MF_EDUBBO_SIZE, -5101, limit, "the body length is negative or over the limit")                                   \
    X(MF_EDUBBO_BODY, -5102, protocol, "a Dubbo2 request is wanted, this is something else")                             \
    X(MF_EDUBBO_OPAQUE, -5103, protocol, "this serialization is passed through unread")                                \
    X(MF_EDUBBO_STAMP, -5104, protocol, "the body has no attachments to append to")                                    \
    X(MF_EDUBBO_CALLBACK, -5105, protocol, "callback arguments need a connection of their own")                        \
    X(MF_EHESSIAN_TAG, -5110, protocol, "a byte that starts no Hessian2 value")                                        \
    X(MF_EHESSIAN_TYPE, -5111, protocol, "a Hessian2 value of another type than asked for")                            \
    X(MF_EHESSIAN_SHORT, -5112, protocol, "a Hessian2 value that runs past its body")                                  \
    X(MF_EHESSIAN_UTF8, -5113, protocol, "a Hessian2 string that is not UTF-8")                                        \
    X(MF_EHESSIAN_CLASS, -5114, protocol, "a Hessian2 object of a class that was not defined")                         \
    X(MF_EHESSIAN_DEPTH, -5115, limit, "Hessian2 values nested too deep")                                              \
    X(MF_EHESSIAN_SIZE, -5116, limit, "a Hessian2 body with too many values or classes")                               \
    X(MF_EJSONB_TAG, -5120, protocol, "a byte that starts no JSONB value")                                             \
    X(MF_EJSONB_TYPE, -5121, protocol, "a JSONB value of another type than asked for")                                 \
    X(MF_EJSONB_SHORT, -5122, protocol, "a JSONB value that runs past its frame")                                      \
    X(MF_EJSONB_DEPTH, -5123, limit, "JSONB values nested too deep")                                                   \
    X(MF_EROUTE_SERVICE, -5300, state, "no such service")                                                              \
    X(MF_EROUTE_RULE, -5301, state, "no rule of the service matches the request")                                      \
    X(MF_EROUTE_PEER, -5302, state, "no instance to send to")                                                          \
    X(MF_EROUTE_DOWN, -5303, state, "no available instance to send to")                                                \
    X(MF_EROUTE_FULL, -5304, state, "no instance that takes more for now")                                             \
    X(MF_ERING_FULL, -5310, limit, "the ring is full")

enum mf_err {
#define X(name, code, kind, text) name = code,
    MF_ERRORS(X)
#undef X
};

enum mf_err_kind { MF_KIND_system, MF_KIND_more, MF_KIND_protocol, MF_KIND_limit, MF_KIND_state };

/* The text of `rc`: ours from the list, the system's by strerror. Static storage; never NULL. */
const char *mf_err_text(int rc);
/* "MF_EMORE", or "errno" for the system's. Static storage; never NULL. */
const char *mf_err_name(int rc);
enum mf_err_kind mf_err_kind(int rc);
