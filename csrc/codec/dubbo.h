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

/* The caller's memory for what is read of one request. */
enum {
    MF_DUBBO_LEADING = 3,          /* attachments that come from the leading strings */
    MF_DUBBO_TEXT_ROOM = 64 * 1024 /* what is mostly given for texts that do not lie in the body as UTF-8 */
};
struct mf_dubbo_room {
    struct mf_pair *attachments; /* for max_attachments + MF_DUBBO_LEADING */
    uint32_t max_attachments;    /* of one request's map, whatever their values are */
    size_t text_len;
    uint8_t *text;               /* text_len bytes; 0: such texts are present, but not text */
};

#define MF_DUBBO_CALLBACK "sys_callback_arg-"
struct mf_dubbo_request {
    struct mf_slice dubbo_version, service, version, method, types; /* null strings are {NULL, 0} */
    struct mf_slice invoked; /* the method on the wire: differs from `method` for $invoke, $invokeAsync */
    /* In the order in which Java puts them into its map, so that of equal keys the last one counts: `dubbo`, `path` and
     * `version` from the leading strings, where not null; then each entry of the map whose key is text. The value
     * {NULL, 0} is present, but not text: a number, null, a list of several. A list of one string is that string. */
    struct mf_pair *attachments;
    uint32_t n_attachments;
    uint64_t key_lengths; /* bit n % 64: there may be an attachment whose key is n bytes long */
    uint32_t arguments_at, n_arguments; /* where the arguments start in the body, and how many the types name */
    uint32_t attachments_at; /* where the attachments start in the body; its length when there are none */
    uint32_t attachments_end; /* behind their map; what comes then is passed on and, as in Java, ignored */
    uint32_t at;             /* how far the reading came: after an error, where it is */
    int64_t timeout_ms;      /* the attachment `timeout` or `_TO`, text or number; -1 when absent or unreadable */
    bool generic;
    bool plain;    /* complete, not generic, and all of it means what it means whatever the arguments are */
    bool complete; /* false: the body ends after the leading strings, as some test clients write it */
    bool text_lost; /* a text had no room or is in an encoding that is not read: an attachment is not what it could be */
    bool callback; /* it has a key that begins with MF_DUBBO_CALLBACK: the provider is to call who calls it */
    bool says_closing; /* it has the key of mf_dubbo_closing, which dubbo-go copies into the answer */
};

/* Reads the head at the front of `in` into `out`.
 *
 * Returns MF_DUBBO_HEAD_LEN; MF_EMORE when `in` is too short to tell; MF_EDUBBO_MAGIC as soon as the bytes seen cannot
 * be Dubbo2; MF_EDUBBO_SIZE when the body length is negative or over `max_body` (`out` is filled: answer its id). */
int mf_dubbo_parse_head(struct mf_slice in, uint32_t max_body, struct mf_dubbo_head *out);

/* Reads as much of a request's body as routing needs. `body` is whole; `limits` NULL: the most. Texts are plain UTF-8,
 * whatever the wire has: slices of the body, or of room->text where it has something else.
 *
 * Returns 0; MF_EDUBBO_OPAQUE for what is not read (the call is forwarded unread); MF_EHESSIAN_*,
 * MF_EJSONB_* for bytes that are wrong; MF_ELIMIT for more attachments than there is room. After an error only the
 * strings read so far are set, and `*why` (never NULL) points at a static text.
 *
 * OPAQUE are a serialization that is not known; a Java stream (ids 3, 4, 7), whose leading strings can be read, but whose
 * arguments and attachments cannot; and a dialect: good values, but not those that are due, as Dubbox has a number before
 * the types. Its strings up to there are set. Wrong is what no dialect can have: a value that runs past the body, a byte
 * that starts no value, nesting over the limits. */
int mf_dubbo_parse_request(uint8_t serialization, struct mf_slice body, const struct mf_dubbo_limits *limits,
                           const struct mf_dubbo_room *room, struct mf_dubbo_request *out, const char **why);

/* The rest of a request whose leading strings are known: `out` has them, and arguments_at, n_arguments and generic; its
 * attachments are read anew. Returns as mf_dubbo_parse_request. */
int mf_dubbo_parse_rest(uint8_t serialization, struct mf_slice body, const struct mf_dubbo_limits *limits,
                        const struct mf_dubbo_room *room, struct mf_dubbo_request *out, const char **why);
/* Puts the attachments that come from the leading strings at the front of `pairs`: how many. */
uint32_t mf_dubbo_put_leading(const struct mf_dubbo_request *request, struct mf_pair *pairs);
/* Where the arguments of such a request end in `body`, or an error. */
int64_t mf_dubbo_skip_arguments(uint8_t serialization, struct mf_slice body, const struct mf_dubbo_request *request,
                                const struct mf_dubbo_limits *limits);

/* True for the serializations that mf_dubbo_parse_request reads whole: Hessian2 and fastjson2. */
bool mf_dubbo_readable(uint8_t serialization);

/* A request with attachments added: its body is these five, in this order; some may be empty. */
struct mf_dubbo_stamped {
    struct mf_slice front;  /* of the body: all before the attachments; in Hessian2 they too, without their end */
    struct mf_slice length; /* of the tail: the attachments' new length (fastjson2) */
    struct mf_slice old;    /* of the body: the attachments as they are, without their end (fastjson2) */
    struct mf_slice added;  /* of the tail: the new pairs and the end */
    struct mf_slice behind; /* of the body: what comes behind the attachments */
    size_t len;             /* of all five */
};

/* Adds attachments to a request that mf_dubbo_parse_request accepted, without decoding or copying what it has. Later
 * entries win in Java's map, so a key may be there already. A value without an address is null.
 *
 * Returns 0; MF_EDUBBO_STAMP when the body has no attachments; MF_ELIMIT when `room` is less than mf_dubbo_stamp_room,
 * or the body would be longer than a head can say. */
int mf_dubbo_stamp(uint8_t serialization, struct mf_slice body, const struct mf_dubbo_request *request,
                   const struct mf_pair *pairs, uint32_t n_pairs, uint8_t *tail, size_t room,
                   struct mf_dubbo_stamped *out);
/* Enough room for the tail of these pairs, whatever the body is. */
size_t mf_dubbo_stamp_room(const struct mf_pair *pairs, uint32_t n_pairs);
/* Copies the five pieces to `to`, `len` bytes. */
void mf_dubbo_stamped_copy(const struct mf_dubbo_stamped *stamped, uint8_t *to);

/* A request without some attachments. `to`: room for as much as the body has; `over`: for MF_CHANGE_FIELDS. */
struct mf_dubbo_dropped {
    uint8_t *to;
    struct mf_pair *over;            /* those whose values others may refer to: to be stamped over, with nothing */
    uint32_t n_over;
    struct mf_slice body;            /* what was written */
    struct mf_dubbo_request request; /* where it lies there, for mf_dubbo_stamp: texts are still those of the body as it was */
};
struct mf_change_list;
/* Takes out what `list` takes out and does not put (change.h). What comes by the leading strings stays. 0;
 * MF_EDUBBO_STAMP as below; or an error of a body that mf_dubbo_parse_request does not accept. */
int mf_dubbo_drop(uint8_t serialization, struct mf_slice body, const struct mf_dubbo_request *request,
                  const struct mf_dubbo_limits *limits, const struct mf_change_list *list, struct mf_dubbo_dropped *out);

/* Writes a head into `to` (16 bytes). */
void mf_dubbo_put_head(uint8_t *to, const struct mf_dubbo_head *head);

/* An answer that says why a call failed, in the caller's serialization where we can write it, else in Hessian2.
 * `text` is cut to MF_DUBBO_TEXT bytes. Writes at most MF_DUBBO_ERROR_ROOM bytes to `to`; returns the length. */
enum { MF_DUBBO_TEXT = 512, MF_DUBBO_ERROR_ROOM = 16 + 16 + MF_DUBBO_TEXT };
size_t mf_dubbo_put_error(uint8_t to[MF_DUBBO_ERROR_ROOM], uint64_t id, uint8_t serialization, uint8_t status,
                          const char *text);

/* True when an error's body, in any serialization that mf_dubbo_put_error writes, is a text that begins with `prefix`
 * (ASCII): so one proxy tells another's local answer from a provider's. */
bool mf_dubbo_error_begins(uint8_t serialization, struct mf_slice body, struct mf_slice prefix);

/* dubbo-go marks the answers of a provider that is stopping with the attachment closing=true. True when the body of an
 * answer of status OK, in Hessian2 or fastjson2, has it as its last word on that key; its four bytes are at `*at`: with
 * MF_DUBBO_NOT_CLOSING in their place nobody takes it for that. Only the last MF_DUBBO_CLOSING_LOOK bytes are searched for
 * the key, those that end as Dubbo for Java ends an answer not at all, and a body is read only when it is there. */
#define MF_DUBBO_CLOSING "closing"
#define MF_DUBBO_NOT_CLOSING "none"
enum { MF_DUBBO_CLOSING_LOOK = 4096 };
bool mf_dubbo_closing(uint8_t serialization, struct mf_slice body, const struct mf_dubbo_limits *limits, size_t *at);

/* Events, 17 or 18 bytes in Hessian2. A heartbeat is two-way and has an id; READONLY and WRITEABLE are one-way. */
enum { MF_DUBBO_EVENT_ROOM = 18 };
size_t mf_dubbo_put_heartbeat(uint8_t to[MF_DUBBO_EVENT_ROOM], uint64_t id);
size_t mf_dubbo_put_readonly(uint8_t to[MF_DUBBO_EVENT_ROOM]);
size_t mf_dubbo_put_writeable(uint8_t to[MF_DUBBO_EVENT_ROOM]);

/* The head of the answer to a two-way event of any kind, READONLY too: the event's own body comes behind it, which is
 * right for every serialization without knowing it. */
struct mf_dubbo_head mf_dubbo_event_answer(const struct mf_dubbo_head *event);

/* What an event's body says, in any serialization we know; MF_DUBBO_EVENT_OTHER is answered like a heartbeat when
 * two-way. */
enum mf_dubbo_event { MF_DUBBO_EVENT_HEARTBEAT, MF_DUBBO_EVENT_READONLY, MF_DUBBO_EVENT_WRITEABLE, MF_DUBBO_EVENT_OTHER };
enum mf_dubbo_event mf_dubbo_event_of(uint8_t serialization, struct mf_slice body);

/* The name of a serialization id, "hessian2"; "unknown" outside the list. */
const char *mf_dubbo_serialization_name(uint8_t serialization);
/* The name of a status, "ok", "server_timeout"; "other" outside the list. */
const char *mf_dubbo_status_name(uint8_t status);
