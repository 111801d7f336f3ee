#include "table/dfa.h"

#include "base/err.h"

enum { CLASSES = 4, ACCEPT = CLASSES + 256 };

/* A blob may come from anywhere in memory, so it is read without relying on its alignment. */
static uint32_t get(const uint8_t *p)
{
    uint16_t v;
    memcpy(&v, p, 2);
    return v;
}

static const uint8_t *next_table(const uint8_t *blob, uint32_t n_states)
{
    return blob + ACCEPT + (n_states + 1) / 2 * 2;
}

int mf_dfa_check(struct mf_slice blob)
{
    if (blob.len < ACCEPT)
        return MF_ELIMIT;
    size_t n_states = get(blob.ptr), n_classes = get(blob.ptr + 2);
    if (n_states < 2 || n_classes < 1 || n_classes > 256)
        return MF_ELIMIT;
    if (blob.len != ACCEPT + (n_states + 1) / 2 * 2 + n_states * n_classes * 2)
        return MF_ELIMIT;
    for (size_t i = 0; i < 256; i++)
        if (blob.ptr[CLASSES + i] >= n_classes)
            return MF_ELIMIT;
    for (size_t i = 0; i < n_states; i++)
        if (blob.ptr[ACCEPT + i] > (i > 0)) /* dead accepts nothing */
            return MF_ELIMIT;
    const uint8_t *next = next_table(blob.ptr, (uint32_t)n_states);
    for (size_t i = 0; i < n_states * n_classes; i++)
        if (get(next + 2 * i) >= (i < n_classes ? 1 : n_states)) /* and is never left */
            return MF_ELIMIT;
    return 0;
}

uint32_t mf_dfa_step(const uint8_t *blob, uint32_t state, struct mf_slice input)
{
    uint32_t n_classes = get(blob + 2);
    const uint8_t *next = next_table(blob, get(blob));
    for (size_t i = 0; i < input.len && state != 0; i++)
        state = get(next + 2 * ((size_t)state * n_classes + blob[CLASSES + input.ptr[i]]));
    return state;
}

bool mf_dfa_accepts(const uint8_t *blob, uint32_t state)
{
    return blob[ACCEPT + state];
}

bool mf_dfa_match(const uint8_t *blob, struct mf_slice input)
{
    return mf_dfa_accepts(blob, mf_dfa_step(blob, MF_DFA_START, input));
}
