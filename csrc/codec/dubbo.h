#pragma once
/* dubbo: the Dubbo2 frame. Its 16-byte head, the leading strings and attachments of a request, and the few frames
 * that a proxy writes itself. Source: Apache Dubbo ExchangeCodec, DubboCodec, DecodeableRpcInvocation.
 *
 * Pure: no malloc, no clock, no descriptor. Every slice points into the bytes given. */
#include "base/err.h"
#include "base/slice.h"

enum {
    MF_DUBBO_HEAD_LEN = 16,
    MF_DUBBO_REQUEST = 0x80,
    MF_DUBBO_TWO_WAY = 0x40,
    MF_DUBBO_EVENT = 0x20,
    MF_DUBBO_SERIALIZATION = 0x1f,
};

enum mf_dubbo_serialization {
    MF_DUBBO_HESSIAN2 = 2,
    MF_DUBBO_JAVA = 3,
    MF_DUBBO_COMPACTED_JAVA = 4,
    MF_DUBBO_FASTJSON = 6,
    MF_DUBBO_NATIVE_JAVA = 7,
    MF_DUBBO_FASTJSON2 = 23,
};

enum mf_dubbo_status {
    MF_DUBBO_OK = 20,
    MF_DUBBO_SERVER_TIMEOUT = 31,
    MF_DUBBO_CHANNEL_INACTIVE = 35,
    MF_DUBBO_BAD_REQUEST = 40,
    MF_DUBBO_BAD_RESPONSE = 50,
    MF_DUBBO_SERVICE_NOT_FOUND = 60,
    MF_DUBBO_SERVER_ERROR = 80,
    MF_DUBBO_OVERLOAD = 100, /* SERVER_THREADPOOL_EXHAUSTED */
};

struct mf_dubbo_head {
    uint64_t id;
    uint32_t body_len;
    uint8_t flags;
    uint8_t status; /* 0 in requests: senders put rubbish there */
    uint8_t serialization;
};

/* What bounds the reading of one body. */
struct mf_dubbo_limits {
    uint32_t max_depth;       /* nested values */
    uint32_t max_classes;     /* class definitions in one body */
};

enum { MF_DUBBO_MAX_DEPTH = 1024, MF_DUBBO_MAX_CLASSES = 1024 }; /* the most a caller may ask for, and the default */

struct mf_dubbo_request {
    struct mf_slice dubbo_version, service, version, method, types; /* null strings are empty */
    struct mf_slice invoked; /* the method on the wire: differs from `method` for $invoke, $invokeAsync */
    struct mf_pair *attachments; /* the caller's array; only pairs of two strings are put there */
    uint32_t n_attachments;
    uint32_t arguments_at, n_arguments; /* where the arguments start in the body, and how many the types name */
    uint32_t attachments_at; /* where the attachments start in the body; its length when there are none */
    uint32_t at;             /* how far the reading came: after an error, where it is */
    int64_t timeout_ms;      /* the attachment `timeout`, text or number; -1 when absent or unreadable */
    bool generic;
    bool plain;    /* complete, not generic, and the attachments mean what they mean whatever the arguments are */
    bool complete; /* false: the body ends after the leading strings, as some test clients write it */
};

/* Reads the head at the front of `in` into `out`.
 *
 * Returns MF_DUBBO_HEAD_LEN; MF_EMORE when `in` is too short to tell; MF_EDUBBO_MAGIC as soon as the bytes seen cannot
 * be Dubbo2; MF_EDUBBO_SIZE when the body length is negative or over `max_body` (`out` is filled: answer its id). */
int mf_dubbo_parse_head(struct mf_slice in, uint32_t max_body, struct mf_dubbo_head *out);

/* Reads as much of a request's body as routing needs. `body` is whole; `limits` NULL: the most.
 *
 * `attachments` has room for `max_attachments`. Returns 0; MF_EDUBBO_OPAQUE for a serialization that is not read (the
 * call is forwarded unread); MF_EDUBBO_BODY, MF_EHESSIAN_*, MF_EJSONB_* for bytes that are wrong; MF_ELIMIT for more
 * attachments than there is room. After an error only the strings read so far are set, and `*why` (never NULL) points
 * at a static text. OPAQUE with a service: a Java stream (ids 3, 4, 7), whose leading strings can be read, but whose
 * arguments and attachments cannot. */
int mf_dubbo_parse_request(uint8_t serialization, struct mf_slice body, const struct mf_dubbo_limits *limits,
                           struct mf_pair *attachments, uint32_t max_attachments, struct mf_dubbo_request *out,
                           const char **why);

/* The rest of a request whose leading strings are known: `out` has them, and arguments_at, n_arguments and generic; its
 * attachments are read anew. Returns as mf_dubbo_parse_request. */
int mf_dubbo_parse_rest(uint8_t serialization, struct mf_slice body, const struct mf_dubbo_limits *limits,
                        uint32_t max_attachments, struct mf_dubbo_request *out, const char **why);
/* Where the arguments of such a request end in `body`, or an error. */
int64_t mf_dubbo_skip_arguments(uint8_t serialization, struct mf_slice body, const struct mf_dubbo_request *request,
                                const struct mf_dubbo_limits *limits);

/* True for the serializations that mf_dubbo_parse_request reads whole: Hessian2 and fastjson2. */
bool mf_dubbo_readable(uint8_t serialization);

/* Adds attachments to a request that mf_dubbo_parse_request accepted, without decoding its arguments.
 *
 * The stamped body is `body` without its last `*cut` bytes, then the bytes written to `tail`. Later entries win in
 * Java's map, so a key may be there already. Returns the length of the tail, MF_EDUBBO_STAMP when the body has no
 * attachments, MF_ELIMIT when `room` is too small (need: see mf_dubbo_stamp_room). */
int mf_dubbo_stamp(uint8_t serialization, struct mf_slice body, const struct mf_dubbo_request *request,
                   const struct mf_pair *pairs, uint32_t n_pairs, uint8_t *tail, size_t room, size_t *cut);
/* Enough room for the tail of these pairs. */
size_t mf_dubbo_stamp_room(uint8_t serialization, struct mf_slice body, const struct mf_dubbo_request *request,
                           const struct mf_pair *pairs, uint32_t n_pairs);

/* Writes a head into `to` (16 bytes). */
void mf_dubbo_put_head(uint8_t *to, const struct mf_dubbo_head *head);

/* An answer that says why a call failed, in the caller's serialization where we can write it, else in Hessian2.
 * `text` is cut to MF_DUBBO_TEXT bytes. Writes at most MF_DUBBO_ERROR_ROOM bytes to `to`; returns the length. */
enum { MF_DUBBO_TEXT = 512, MF_DUBBO_ERROR_ROOM = 16 + 16 + MF_DUBBO_TEXT };
size_t mf_dubbo_put_error(uint8_t to[MF_DUBBO_ERROR_ROOM], uint64_t id, uint8_t serialization, uint8_t status,
                          const char *text);

/* Events, 17 or 18 bytes in Hessian2. A heartbeat is two-way and has an id; READONLY is one-way. */
enum { MF_DUBBO_EVENT_ROOM = 18 };
size_t mf_dubbo_put_heartbeat(uint8_t to[MF_DUBBO_EVENT_ROOM], uint64_t id);
/* READONLY asks for no new calls; with `readonly` false it is WRITEABLE, which takes that back. */
size_t mf_dubbo_put_readonly(uint8_t to[MF_DUBBO_EVENT_ROOM], bool readonly);

/* What an event's body says, in any serialization we know; MF_DUBBO_EVENT_OTHER is answered like a heartbeat when
 * two-way. */
enum mf_dubbo_event { MF_DUBBO_EVENT_HEARTBEAT, MF_DUBBO_EVENT_READONLY, MF_DUBBO_EVENT_WRITEABLE, MF_DUBBO_EVENT_OTHER };
enum mf_dubbo_event mf_dubbo_event_of(uint8_t serialization, struct mf_slice body);

/* The name of a serialization id, "hessian2"; "unknown" outside the list. */
const char *mf_dubbo_serialization_name(uint8_t serialization);
/* The name of a status, "ok", "server_timeout"; "other" outside the list. */
const char *mf_dubbo_status_name(uint8_t status);
