#include "call/beside.h"

static void note_end(struct mf_call *call, int status_index, enum mf_outcome outcome, uint64_t bytes_down,
                     const struct mf_callee *callee)
{
    struct mf_local *local = call->calls->local;
    struct mf_note *note = mf_call_note(call);
    bool answered = call->two_way && outcome <= MF_OUTCOME_REMOTE_ERROR;
    struct mf_note_end end = {
        .outcome = (uint8_t)outcome,
        .status = answered || outcome == MF_OUTCOME_RULE ? (uint8_t)status_index : call->ops->stats[outcome],
        .two_way = call->two_way,
        .answered = answered,
        .took = answered ? call->took : mf_local_now(local) - call->begun,
        .bytes_up = call->ops->asked ? note->up : call->bytes_up,
        .bytes_down = note->down + bytes_down,
        .tries = call->tries < UINT8_MAX ? (uint8_t)call->tries : UINT8_MAX,
        .peer = callee ? callee->addr : NULL,
    };
    if (call->stat && call->stat->of)
        end.subset = mf_slice_str(call->stat->of->subset);
    mf_note_end(local->notes, note, &end);
    call->beside &= (uint8_t)~MF_BESIDE_NOTE;
}

void mf_beside_end(struct mf_call *call, int status_index, enum mf_outcome outcome, uint64_t bytes_down, uint32_t code)
{
    if (call->beside & MF_BESIDE_NOTE)
        note_end(call, status_index, outcome, bytes_down, call->callee);
    if (call->beside & (MF_BESIDE_GOVERNED | MF_BESIDE_COPY))
        call->calls->governing->end(call, status_index, outcome, code);
}

void mf_beside_asked(struct mf_call *call)
{
    if (call->beside & MF_BESIDE_NOTE)
        mf_call_note(call)->up = 0; /* of what was sent to another */
    if (call->beside & MF_BESIDE_GOVERNED)
        call->calls->governing->begins(call);
}

void mf_beside_more(struct mf_call *call, const struct mf_message *message)
{
    if (call->beside & MF_BESIDE_NOTE)
        mf_call_note(call)->up += message->data.len;
    if (call->beside & MF_BESIDE_GOVERNED)
        call->calls->governing->more(call, message);
}

void mf_beside_sent(struct mf_call *call, const struct mf_callee *callee)
{
    note_end(call, 0, MF_OUTCOME_OK, 0, callee);
}
