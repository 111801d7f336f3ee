#include "call/counters.h"

const struct mf_counter_info *mf_counters_table(void)
{
    static const struct mf_counter_info table[] = {
#define X(name, kind, text) {#name, #kind, text},
        MF_COUNTERS(X)
#undef X
        {0}};
    return table;
}
