#pragma once
/* stage_calls: what a caller may be sent, and what a provider may see, on a stage. */
#include "stage.h"

/* What was asked on a connection that has ended is settled: there is nobody left to tell. */
static void caller_lost(struct stage *stage, struct end *end)
{
    close(end->fd);
    end->fd = ENDED;
    end->gone = true;
    bool allowed = !stage->strict && fail_failed > 0;
    CHECK(allowed || stage->stopping);
    stage->shed += !stage->stopping;
    for (uint32_t i = 0; i < stage->n_asks; i++) {
        if (stage->asks[i].from != end || stage->asks[i].settled)
            continue;
        CHECK(allowed);
        stage->asks[i].settled = true;
    }
}

/* --- answers */

static void fill(uint8_t *to, size_t len, uint32_t number)
{
    for (size_t i = 0; i < len; i++)
        to[i] = (uint8_t)('a' + (i + number) % 26);
}

static size_t answer_size(uint8_t command)
{
    return command == BIG ? BIG_ANSWER : command == MEDIUM ? MEDIUM_ANSWER : SMALL_ANSWER;
}

static bool right_answer(const struct ask *ask, uint32_t number, struct mf_slice body)
{
    static uint8_t want[BIG_ANSWER];
    size_t len = answer_size(ask->command);
    fill(want, len, number);
    return body.len == len + 4 && mf_get32(body.ptr) == number && memcmp(body.ptr + 4, want, len) == 0;
}

static void answered(struct stage *stage, const struct end *end, const struct mf_dubbo_head *head, struct mf_slice body)
{
    if (head->flags & MF_DUBBO_EVENT)
        return;
    CHECK_INT(head->flags & MF_DUBBO_REQUEST, 0);
    uint32_t number = (uint32_t)head->id;
    CHECK(number < stage->n_asks);
    if (number >= stage->n_asks)
        return;
    struct ask *ask = &stage->asks[number];
    CHECK(ask->from == end); /* else it was crossed */
    CHECK(!ask->settled);
    ask->settled = true;
    ask->status = head->status;
    if (head->status == 20)
        CHECK(right_answer(ask, number, body));
    if (head->status == ask->want)
        return;
    bool allowed = !stage->strict && fail_failed > 0 && (head->status == 100 || head->status == 35);
    allowed = allowed || (stage->slow && head->status == 80);
    if (!allowed)
        fprintf(stderr, "call %u (%c) got %u, not %u: %.*s\n", number, ask->command, head->status, ask->want,
                body.len > 80 ? 80 : (int)body.len, (const char *)body.ptr);
    CHECK(allowed);
    stage->shed++;
}

/* --- the providers */

static struct ask *named(struct stage *stage, struct mf_slice body)
{
    const char *mark = memmem(body.ptr, body.len < 200 ? body.len : 200, "#call ", 6);
    uint32_t number = mark ? (uint32_t)atol(mark + 6) : UINT32_MAX;
    CHECK(number < stage->n_asks);
    return number < stage->n_asks ? &stage->asks[number] : NULL;
}

static bool as_sent(const struct ask *ask, struct mf_slice body)
{
    static const char stamp[] = "\003dev\004dev1Z";
    struct mf_slice sent = mf_slice_of(ask->frame.at + MF_DUBBO_HEAD_LEN, ask->frame.len - MF_DUBBO_HEAD_LEN);
    if (!ask->stamped)
        return mf_slice_eq(sent, body);
    return body.len == sent.len - 1 + sizeof stamp - 1 && memcmp(body.ptr, sent.ptr, sent.len - 1) == 0 &&
           memcmp(body.ptr + sent.len - 1, stamp, sizeof stamp - 1) == 0;
}

static void put_answer(struct end *end, const struct mf_dubbo_head *request, uint32_t number, size_t len)
{
    static uint8_t body[BIG_ANSWER + 4];
    uint8_t bytes[MF_DUBBO_HEAD_LEN];
    struct mf_dubbo_head head = {.id = request->id, .flags = request->serialization, .status = 20,
                                 .serialization = request->serialization, .body_len = (uint32_t)len + 4};
    mf_dubbo_put_head(bytes, &head);
    mf_put32(body, number);
    fill(body + 4, len, number);
    append(&end->out, bytes, sizeof bytes);
    append(&end->out, body, len + 4);
}

static void put_beat(struct end *end, uint64_t id, uint8_t flags)
{
    uint8_t beat[MF_DUBBO_HEAD_LEN + 1] = {0};
    struct mf_dubbo_head head = {.id = id, .flags = flags, .status = flags & MF_DUBBO_REQUEST ? 0 : 20,
                                 .serialization = MF_DUBBO_HESSIAN2, .body_len = 1};
    mf_dubbo_put_head(beat, &head);
    beat[MF_DUBBO_HEAD_LEN] = 'N';
    append(&end->out, beat, sizeof beat);
}

static void provide(struct stage *stage, struct end *end, const struct mf_dubbo_head *head, struct mf_slice body)
{
    if (head->flags & MF_DUBBO_EVENT) {
        if ((head->flags & MF_DUBBO_REQUEST) && (head->flags & MF_DUBBO_TWO_WAY))
            put_beat(end, head->id, MF_DUBBO_EVENT | MF_DUBBO_HESSIAN2);
        return;
    }
    struct ask *ask = named(stage, body);
    if (!ask)
        return;
    CHECK(as_sent(ask, body));
    CHECK((ask->to & 1 << end->provider) || (stage->slow && end->provider == BASELINE));
    CHECK_INT(ask->delivered++, 0); /* never twice */
    switch (ask->command) {
    case SILENT:
    case ONE_WAY_CALL:
        return;
    case DROP:
        put_beat(end, 1, MF_DUBBO_EVENT | MF_DUBBO_HESSIAN2); /* it has lived: its end is no refusal */
        end->drop = true;
        return;
    default:
        put_answer(end, head, (uint32_t)(ask - stage->asks), answer_size(ask->command));
    }
}
