#pragma once
/* loops: the tests of a program, once on each loop that the kernel has for us. */
#include "loop/loop.h"
#include "test.h"

static enum mf_loop_backend backend;

/* Runs every test on both loops; where the kernel has no io_uring for us, says so. */
static int run_all(const char *name, void (*const tests[])(void), size_t n)
{
    enum mf_loop_backend all[] = {MF_LOOP_EPOLL, MF_LOOP_URING};
    fail_at(0);
    for (int i = 0; i < 2; i++) {
        struct mf_loop *probe;
        const char *why = NULL;
        backend = all[i];
        if (mf_loop_new(&(struct mf_loop_options){.backend = backend}, &probe, &why) < 0) {
            printf("%s: this kernel has no io_uring for us (%s): epoll only\n", name, why ? why : "refused");
            continue;
        }
        mf_loop_free(probe);
        for (size_t t = 0; t < n; t++)
            tests[t]();
    }
    return test_end(name);
}
