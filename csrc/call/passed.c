#include "call/passed.h"

#include "base/mem.h"

#include <unistd.h>

void mf_passed_drop(struct mf_passed *passed)
{
    if (passed->fd >= 0)
        close(passed->fd);
    mf_free(passed->came);
    passed->fd = -1;
    passed->came = NULL;
}
