#pragma once
/* request: one Dubbo2 call as a template: the frame that is sent with a few bytes changed, and the answer it must get.
 *
 * The one argument is a string that starts with a nonce of 16 hex digits; the answer must carry the whole string back. */
#include "net.h"
#include "wire.h"

enum { NONCE_LEN = 16, TRACE_LEN = 55, ATTACH_MAX = 32 };

struct request_options {
    const char *service, *version, *method;
    const char *timeout;                 /* milliseconds; NULL: 3000, "": it names none */
    size_t payload;                      /* bytes of the argument, at least NONCE_LEN */
    const char *attach[ATTACH_MAX];      /* "key=value" beside those that every Dubbo consumer sends */
    uint32_t n_attach;
    bool trace;                          /* a fresh traceparent in every request */
    uint8_t serialization;               /* 0 and 2: Hessian2; others: the body is the argument alone, and so is the answer */
};

struct request {
    uint8_t *frame, *answer; /* the answer without its head */
    size_t len, answer_len;
    size_t nonce_at, trace_at, answer_nonce_at; /* trace_at 0: none */
    uint64_t random;
};

static inline uint64_t request_random(struct request *r)
{
    return r->random = mix(r->random);
}

static inline void request_hex(uint8_t *to, uint64_t v)
{
    for (int i = 0; i < 16; i++)
        to[i] = (uint8_t)"0123456789abcdef"[v >> (60 - 4 * i) & 15];
}

/* A body that no proxy can read: text from its first byte to its last, as the answer's is. */
static inline void request_init_opaque(struct request *r, const struct request_options *o)
{
    r->len = WIRE_HEAD + o->payload;
    r->frame = must_alloc(r->len);
    r->answer = must_alloc(o->payload);
    r->answer_len = o->payload;
    for (size_t i = 0; i < o->payload; i++)
        r->answer[i] = r->frame[WIRE_HEAD + i] = (uint8_t)('a' + i % 26);
    wire_put_head(r->frame, (uint8_t)(WIRE_REQUEST | WIRE_TWO_WAY | o->serialization), 0, 0, (uint32_t)o->payload);
    r->nonce_at = WIRE_HEAD;
    r->answer_nonce_at = r->trace_at = 0;
    r->random = now_ns();
}

static inline void request_init(struct request *r, const struct request_options *o)
{
    if (o->serialization != 0 && o->serialization != WIRE_HESSIAN2) {
        request_init_opaque(r, o);
        return;
    }
    const char *service = o->service, *version = o->version;
    const char *pairs[][2] = {{"path", service},          {"interface", service},
                              {"version", version},       {"timeout", o->timeout ? o->timeout : "3000"},
                              {"remote.application", "bench"}};
    size_t room = 512 + 4 * strlen(service) + 3 * strlen(version) + strlen(o->method) + wire_string_room(o->payload);
    for (uint32_t i = 0; i < o->n_attach; i++)
        room += strlen(o->attach[i]) + 8;
    char *text = must_alloc(o->payload);
    for (size_t i = 0; i < o->payload; i++)
        text[i] = (char)('a' + i % 26);
    size_t text_head = o->payload <= 31 ? 1 : o->payload <= 1023 ? 2 : 3;

    uint8_t *p = (r->frame = must_alloc(room)) + WIRE_HEAD;
    p = wire_put_string(p, "2.0.2", 5);
    p = wire_put_string(p, service, strlen(service));
    p = wire_put_string(p, version, strlen(version));
    p = wire_put_string(p, o->method, strlen(o->method));
    p = wire_put_string(p, "Ljava/lang/String;", 18);
    r->nonce_at = (size_t)(p - r->frame) + text_head;
    p = wire_put_string(p, text, o->payload);
    *p++ = 'H';
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        if (!*pairs[i][1])
            continue;
        p = wire_put_string(p, pairs[i][0], strlen(pairs[i][0]));
        p = wire_put_string(p, pairs[i][1], strlen(pairs[i][1]));
    }
    for (uint32_t i = 0; i < o->n_attach; i++) {
        const char *equals = strchr(o->attach[i], '=');
        p = wire_put_string(p, o->attach[i], (size_t)(equals - o->attach[i]));
        p = wire_put_string(p, equals + 1, strlen(equals + 1));
    }
    r->trace_at = 0;
    if (o->trace) {
        p = wire_put_string(p, "traceparent", 11);
        p = wire_put_string(p, "00-00000000000000000000000000000000-0000000000000000-01", TRACE_LEN);
        r->trace_at = (size_t)(p - r->frame) - TRACE_LEN;
    }
    *p++ = 'Z';
    r->len = (size_t)(p - r->frame);
    wire_put_head(r->frame, WIRE_REQUEST | WIRE_TWO_WAY | WIRE_HESSIAN2, 0, 0, (uint32_t)(r->len - WIRE_HEAD));

    r->answer = must_alloc(1 + wire_string_room(o->payload));
    r->answer[0] = 0x91;
    r->answer_len = (size_t)(wire_put_string(r->answer + 1, text, o->payload) - r->answer);
    r->answer_nonce_at = 1 + text_head;
    r->random = now_ns();
    free(text);
}

/* Writes a request of its own to `to` (r->len bytes); returns its nonce. */
static inline uint64_t request_put(struct request *r, uint8_t *to, uint64_t id)
{
    uint64_t nonce = request_random(r);
    memcpy(to, r->frame, r->len);
    wire_put64(to + 4, id);
    request_hex(to + r->nonce_at, nonce);
    if (r->trace_at) {
        request_hex(to + r->trace_at + 3, request_random(r));
        request_hex(to + r->trace_at + 19, request_random(r));
        request_hex(to + r->trace_at + 36, request_random(r));
    }
    return nonce;
}

/* True when the body is the whole argument of the request with this nonce. */
static inline bool request_check(const struct request *r, const uint8_t *body, size_t len, uint64_t nonce)
{
    uint8_t hex[NONCE_LEN];
    size_t at = r->answer_nonce_at;
    request_hex(hex, nonce);
    return len == r->answer_len && !memcmp(body, r->answer, at) && !memcmp(body + at, hex, NONCE_LEN) &&
           !memcmp(body + at + NONCE_LEN, r->answer + at + NONCE_LEN, len - at - NONCE_LEN);
}
