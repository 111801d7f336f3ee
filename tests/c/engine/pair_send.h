#pragma once
/* pair_send: the requests and answers that the peers send (pair.h). */
#include "pair_state.h"

static size_t pair_text(uint8_t *to, const char *text, size_t len)
{
    return (size_t)mf_hessian_put_string(to, mf_hessian_string_room(len), mf_slice_of(text, len));
}

enum { PAIR_REQUEST = 40000 };

/* A request of caller `down` with a mark in its argument, which is `size` bytes longer; `key` NULL: no attachment.
 * `to` has PAIR_REQUEST bytes. */
static size_t pair_request(uint8_t *to, int down, uint64_t id, uint8_t flags, const char *service, size_t size,
                           const char *key, const char *value)
{
    const char *strings[] = {"2.0.2", service, "1", "hi", "Ljava/lang/String;"};
    uint8_t *p = to + 16;
    for (int i = 0; i < 5; i++)
        p += pair_text(p, strings[i], strlen(strings[i]));
    size += PAIR_MARK;
    if (size < 0x20) {
        *p++ = (uint8_t)size;
    } else {
        *p++ = 'S'; /* in one piece: up to 32 KiB */
        mf_put16(p, (uint16_t)size);
        p += 2;
    }
    memset(p, 'x', size);
    if (pair.n_marks < PAIR_ASKED) {
        struct mark *mark = &pair.marks[pair.n_marks];
        *mark = (struct mark){.down = down, .id = id, .at = (size_t)(p - to)};
        pair_mark(mark->question, 'q', pair.n_marks);
        pair_mark(mark->answer, 'a', pair.n_marks++);
        memcpy(p, mark->question, PAIR_MARK);
    }
    p += size;
    *p++ = 'H';
    if (key) {
        p += pair_text(p, key, strlen(key));
        p += pair_text(p, value, strlen(value));
    }
    *p++ = 'Z';
    struct mf_dubbo_head head = {.id = id, .flags = flags, .serialization = 2, .body_len = (uint32_t)(p - to - 16)};
    mf_dubbo_put_head(to, &head);
    return (size_t)(p - to);
}

/* An answer to the k-th request that a provider has got, `size` bytes and its mark. `to` has PAIR_REQUEST bytes. */
static size_t pair_answer(uint8_t *to, int k, uint8_t status, size_t size)
{
    struct asked *asked = &pair.asked[k];
    memset(to + 16, 'y', PAIR_MARK + size);
    if (asked->mark >= 0)
        memcpy(to + 16, pair.marks[asked->mark].answer, PAIR_MARK);
    struct mf_dubbo_head head = {
        .id = asked->id, .flags = 2, .serialization = 2, .status = status, .body_len = (uint32_t)(PAIR_MARK + size)};
    mf_dubbo_put_head(to, &head);
    asked->answered = true;
    return 16 + PAIR_MARK + size;
}

/* An answer to the same, as a provider that was not asked would send it. */
__attribute__((unused)) static size_t pair_forge(uint8_t *to, int k)
{
    bool answered = pair.asked[k].answered;
    size_t len = pair_answer(to, k, 20, 0);
    pair.asked[k].answered = answered;
    pair_mark(to + 16, 'f', 0);
    return len;
}
