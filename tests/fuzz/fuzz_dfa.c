/* fuzz_dfa: any bytes as a compiled expression; one that is accepted is walked over any input, whole and in pieces. */
#include "table/dfa.h"

#include <stdlib.h>

/* A blob that passes: the states, classes and moves are what the input says, each made to fit. */
static size_t make(const uint8_t *data, size_t len, uint8_t *blob, size_t room)
{
    uint16_t states = (uint16_t)(2 + data[0] % 30), classes = (uint16_t)(1 + data[1] % 16);
    size_t accept = (size_t)(states + 1) / 2 * 2, size = 260 + accept + 2u * states * classes;
    if (size > room)
        abort();
    memset(blob, 0, size);
    memcpy(blob, &states, 2);
    memcpy(blob + 2, &classes, 2);
    for (size_t i = 0; i < 256; i++)
        blob[4 + i] = (uint8_t)(data[i % len] % classes);
    for (size_t i = 1; i < states; i++)
        blob[260 + i] = data[i % len] & 1;
    for (size_t i = classes; i < (size_t)states * classes; i++) {
        uint16_t next = data[i % len] % states;
        memcpy(blob + 260 + accept + 2 * i, &next, 2);
    }
    return size;
}

static void walk(const uint8_t *blob, struct mf_slice input)
{
    uint32_t state = MF_DFA_START;
    for (size_t i = 0; i < input.len; i++)
        state = mf_dfa_step(blob, state, mf_slice_of(input.ptr + i, 1));
    if (mf_dfa_accepts(blob, state) != mf_dfa_match(blob, input))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static uint8_t blob[4096];
    struct mf_slice in = mf_slice_of(data, len);
    if (mf_dfa_check(in) == 0)
        walk(data, in);
    if (len < 2)
        return 0;
    size_t size = make(data, len, blob, sizeof blob);
    if (mf_dfa_check(mf_slice_of(blob, size)) != 0)
        abort();
    walk(blob, in);
    return 0;
}
