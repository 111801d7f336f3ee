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
    X(MF_EH2_PREFACE, -5200, protocol, "not the HTTP/2 connection preface")                                            \
    X(MF_EH2_FRAME_SIZE, -5201, protocol, "an HTTP/2 frame longer than it may be")                                     \
    X(MF_EH2_LENGTH, -5202, protocol, "an HTTP/2 frame whose length its type cannot have")                             \
    X(MF_EH2_STREAM, -5203, protocol, "an HTTP/2 frame on a stream that its type cannot have")                         \
    X(MF_EH2_PADDING, -5204, protocol, "an HTTP/2 frame padded beyond its length")                                     \
    X(MF_EH2_SETTING, -5205, protocol, "an HTTP/2 setting with a value that it cannot have")                           \
    X(MF_EH2_SETTING_WINDOW, -5206, protocol, "an initial window above 2^31-1")                                        \
    X(MF_EH2_CREDIT, -5207, protocol, "a window update of 0 for the connection")                                       \
    X(MF_EH2_ORDER, -5208, protocol, "an HTTP/2 frame that may not come now")                                           \
    X(MF_EH2_CREDIT_STREAM, -5210, protocol, "a window update of 0 for a stream")                                      \
    X(MF_EH2_PRIORITY_LENGTH, -5211, protocol, "a PRIORITY frame that is not 5 bytes long")                            \
    X(MF_EH2_PRIORITY_SELF, -5212, protocol, "a stream that depends on itself")                                        \
    X(MF_EH2_PATH_TRICK, -5213, protocol, "a :path that two readers may take for two different ones")                  \
    X(MF_EH2_PATH_SERVICE, -5214, protocol, "a :path that names no service and method")                                \
    X(MF_EH2_TYPE, -5215, protocol, "content types that differ in one request")                                        \
    X(MF_EH2_NAME_EMPTY, -5220, protocol, "a field without a name")                                                    \
    X(MF_EH2_NAME_CASE, -5221, protocol, "a field name with an upper-case letter")                                     \
    X(MF_EH2_NAME, -5222, protocol, "a field name with a character that it cannot have")                               \
    X(MF_EH2_VALUE, -5223, protocol, "a field value with a control character")                                         \
    X(MF_EH2_VALUE_SPACE, -5224, protocol, "a field value that begins or ends with a space or tab")                    \
    X(MF_EH2_PSEUDO, -5225, protocol, "a pseudo-header field that does not belong here")                               \
    X(MF_EH2_PSEUDO_LATE, -5226, protocol, "a pseudo-header field behind a regular field")                             \
    X(MF_EH2_PSEUDO_TWICE, -5227, protocol, "a pseudo-header field that comes twice")                                  \
    X(MF_EH2_PSEUDO_MISSING, -5228, protocol, "a required pseudo-header field is missing")                             \
    X(MF_EH2_CONNECTION, -5229, protocol, "a field that is for one HTTP/1 connection")                                 \
    X(MF_EH2_TE, -5230, protocol, "a te field that is not trailers")                                                   \
    X(MF_EH2_METHOD, -5231, protocol, "a :method that is no method")                                                   \
    X(MF_EH2_SCHEME, -5232, protocol, "a :scheme that is no scheme")                                                   \
    X(MF_EH2_PATH, -5233, protocol, "a :path that neither begins with / nor is *, or has a character that it cannot have") \
    X(MF_EH2_AUTHORITY, -5234, protocol, "an :authority or host that is empty or no host and port")                    \
    X(MF_EH2_HOST, -5235, protocol, "host comes twice or is not what :authority says")                                 \
    X(MF_EH2_STATUS, -5236, protocol, "a :status that is not three digits from 100, or is 101")                        \
    X(MF_EH2_CONTENT_LENGTH, -5237, protocol, "a content-length that is no number or comes twice")                     \
    X(MF_EH2_CONTENT, -5238, protocol, "content that is not as long as its content-length says")                       \
    X(MF_EH2_WINDOW, -5240, protocol, "more HTTP/2 content than its window allows, or a window above 2^31-1")          \
    X(MF_EH2_CLOSED, -5241, protocol, "an HTTP/2 frame on a stream that has ended")                                    \
    X(MF_EH2_SILENT, -5242, protocol, "HTTP/2 settings that were not acknowledged in time")                            \
    X(MF_EH2_LIST, -5243, limit, "more header fields than the provider's MAX_HEADER_LIST_SIZE allows")                 \
    X(MF_EHPACK_SHORT, -5250, protocol, "a header block that ends within a field")                                     \
    X(MF_EHPACK_INTEGER, -5251, protocol, "a number in a header block that is too large")                              \
    X(MF_EHPACK_INDEX, -5252, protocol, "a header block with an index that means nothing")                             \
    X(MF_EHPACK_HUFFMAN, -5253, protocol, "a text in a header block that is not Huffman code")                         \
    X(MF_EHPACK_UPDATE, -5254, protocol, "a header table resized above its limit or behind a field")                   \
    X(MF_EHPACK_NO_UPDATE, -5255, protocol, "a header table not resized although its limit was lowered")               \
    X(MF_EHPACK_WORK, -5256, limit, "a header block that copies more names than is reasonable")                        \
    X(MF_EHTTP1_END, -5270, protocol, "a line of an HTTP/1 head that does not end in CR LF")                           \
    X(MF_EHTTP1_LINE, -5271, protocol, "not an HTTP/1 request line")                                                   \
    X(MF_EHTTP1_TARGET, -5272, protocol, "an HTTP/1 target that is no path, no URL and no host")                       \
    X(MF_EHTTP1_FIELD, -5273, protocol, "an HTTP/1 field without a name and a colon, or a folded one")                 \
    X(MF_EHTTP1_VALUE, -5274, protocol, "an HTTP/1 field with a control character")                                    \
    X(MF_EHTTP1_HOST, -5275, protocol, "no host field, more than one, or no host and port in it")                      \
    X(MF_EROUTE_SERVICE, -5300, state, "no such service")                                                              \
    X(MF_EROUTE_RULE, -5301, state, "no rule of the service matches the request")                                      \
    X(MF_EROUTE_PEER, -5302, state, "no instance to send to")                                                          \
    X(MF_EROUTE_DOWN, -5303, state, "no available instance to send to")                                                \
    X(MF_EROUTE_FULL, -5304, state, "no instance that takes more for now")                                             \
    X(MF_EROUTE_BUSY, -5305, state, "policy allows no more calls that wait for a connection there")                    \
    X(MF_ECHANGE, -5306, state, "what a rule changes cannot be written into it")                                       \
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
