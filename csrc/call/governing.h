#pragma once
/* governing: what calls know of who governs them by policy, which lies above them: of those alone that have
 * MF_BESIDE_GOVERNED, and the end of copies. */
#include "call/outcome.h"

#include <stdbool.h>

struct mf_call;
struct mf_message;

struct mf_governing {
    /* It leaves whom it was put on, and is dispatched again. `failed`: as in mf_call_input. */
    void (*tried)(struct mf_call *call, bool failed);
    /* It waited for a connection, and has been sent. */
    void (*asked)(struct mf_call *call);
    /* The first parts of an answer have come; NULL: its connection was lost. True: they are not for the caller, and the call
     * has made its next step. */
    bool (*again)(struct mf_call *call, const struct mf_message *message);
    /* Where its request comes part by part: it is with a callee, from the beginning; more of it goes on. */
    void (*begins)(struct mf_call *call);
    void (*more)(struct mf_call *call, const struct mf_message *message);
    /* It is over; `code`: of an answer's end, as in mf_message. Its callee is still to be seen. */
    void (*end)(struct mf_call *call, int status_index, enum mf_outcome outcome, uint32_t code);
};
