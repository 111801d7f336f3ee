#pragma once
/* passed: a connection that came in at a listener, on its way from one process to another, which goes on with it
 * (mf_engine_pass, mf_engine_adopt). Nothing of it is under way then. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mf_passed {
    int fd;
    uint32_t listener; /* where it came in, as mf_engine_listen numbers it */
    bool dubbo;        /* Dubbo2 is spoken; else it has not said yet what is */
    uint64_t discard;  /* dubbo: bytes to come that are of a frame that was refused */
    uint64_t silent;   /* ns since it said something */
    size_t came_len;
    uint8_t *came;     /* bytes that were read and not looked at yet, from mf_alloc; NULL: none */
};

enum { MF_PASSED_CAME = 256 * 1024 }; /* of those at most: where more has come it goes on until less is left */

/* It ends. */
void mf_passed_drop(struct mf_passed *passed);
