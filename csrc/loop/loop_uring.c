#include "loop/backend.h"
#include <errno.h>
static int init(struct mf_loop *loop, const struct mf_loop_options *options, const char **why)
{
    (void)loop;
    (void)options;
    *why = "later";
    return -ENOSYS;
}
const struct mf_loop_ops mf_loop_uring = {.name = "io_uring", .init = init};
