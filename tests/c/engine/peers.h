#pragma once
/* peers: both ends of a call under the test's hand: blocking sockets with a time limit, frames built byte by byte. */
#include "codec/dubbo.h"
#include "codec/hessian.h"
#include "peers_sock.h"
#include "engine/engine.h"

struct frame {
    struct mf_dubbo_head head;
    uint8_t *bytes; /* head and body */
    size_t len;     /* 0: the peer closed; or nothing came in time */
};

__attribute__((unused)) static void drop(struct frame *frame)
{
    free(frame->bytes);
    *frame = (struct frame){0};
}

__attribute__((unused)) static struct frame get(int fd)
{
    struct frame frame = {0};
    uint8_t head[MF_DUBBO_HEAD_LEN];
    if (!read_all(fd, head, sizeof head) ||
        mf_dubbo_parse_head(mf_slice_of(head, sizeof head), UINT32_MAX >> 1, &frame.head) < 0)
        return frame;
    frame.bytes = malloc(sizeof head + frame.head.body_len);
    memcpy(frame.bytes, head, sizeof head);
    if (!read_all(fd, frame.bytes + sizeof head, frame.head.body_len)) {
        drop(&frame);
        return frame;
    }
    frame.len = sizeof head + frame.head.body_len;
    return frame;
}

__attribute__((unused)) static size_t put_text(uint8_t *to, struct mf_slice text)
{
    return (size_t)mf_hessian_put_string(to, mf_hessian_string_room(text.len), text);
}

/* A request of `service`.hi(argument) with attachments from `pairs`, ended by a NULL key. `to` has room enough. */
__attribute__((unused)) static size_t request(uint8_t *to, uint64_t id, uint8_t flags, const char *service, struct mf_slice argument,
                      const char *const *pairs)
{
    uint8_t *at = to + MF_DUBBO_HEAD_LEN;
    const char *strings[] = {"2.0.2", service, "0.0.0", "hi", "Ljava/lang/String;"};
    for (int i = 0; i < 5; i++)
        at += put_text(at, mf_slice_str(strings[i]));
    at += put_text(at, argument);
    *at++ = 'H';
    for (; pairs && *pairs; pairs++)
        at += put_text(at, mf_slice_str(*pairs));
    *at++ = 'Z';
    struct mf_dubbo_head head = {.id = id,
                                 .flags = (uint8_t)(flags | MF_DUBBO_HESSIAN2),
                                 .serialization = MF_DUBBO_HESSIAN2,
                                 .body_len = (uint32_t)(at - to - MF_DUBBO_HEAD_LEN)};
    mf_dubbo_put_head(to, &head);
    return (size_t)(at - to);
}

enum { TWO_WAY = MF_DUBBO_REQUEST | MF_DUBBO_TWO_WAY, ONE_WAY = MF_DUBBO_REQUEST };

__attribute__((unused)) static void ask(int fd, uint64_t id, const char *service, const char *const *pairs)
{
    uint8_t bytes[1024];
    CHECK(put(fd, bytes, request(bytes, id, TWO_WAY, service, MF_SLICE("x"), pairs)));
}

/* Answers with status and a body of `len` times 'a' behind the id of 8 bytes, so that crossed answers show. */
__attribute__((unused)) static void answer(int fd, uint64_t id, uint8_t status, size_t len)
{
    uint8_t *bytes = malloc(MF_DUBBO_HEAD_LEN + len + 8);
    struct mf_dubbo_head head = {.id = id,
                                 .flags = MF_DUBBO_HESSIAN2,
                                 .status = status,
                                 .serialization = MF_DUBBO_HESSIAN2,
                                 .body_len = (uint32_t)len + 8};
    mf_dubbo_put_head(bytes, &head);
    mf_put64(bytes + MF_DUBBO_HEAD_LEN, id);
    memset(bytes + MF_DUBBO_HEAD_LEN + 8, 'a', len);
    CHECK(put(fd, bytes, MF_DUBBO_HEAD_LEN + len + 8));
    free(bytes);
}

/* The next frame is an answer of that id and status. Its text, for errors of ours, is checked to hold `text`. */
__attribute__((unused)) static void expect(int fd, uint64_t id, uint8_t status, const char *text)
{
    struct frame frame = get(fd);
    CHECK(frame.len > 0);
    CHECK_INT(frame.head.id, id);
    CHECK_INT(frame.head.status, status);
    CHECK_INT(frame.head.flags & MF_DUBBO_REQUEST, 0);
    if (text && frame.len)
        CHECK(memmem(frame.bytes, frame.len, text, strlen(text)) != NULL);
    drop(&frame);
}

/* The id under which the next request came to the provider; heartbeats before it are left unanswered. */
__attribute__((unused)) static uint64_t asked(int fd)
{
    struct frame frame = get(fd);
    while (frame.len && (frame.head.flags & MF_DUBBO_EVENT)) {
        drop(&frame);
        frame = get(fd);
    }
    uint64_t id = frame.head.id;
    CHECK(frame.len > 0);
    drop(&frame);
    return id;
}
