#include "call/limits.h"

#include "base/err.h"

#include <errno.h>
#include <string.h>

/* RFC 9113 6.9.1 and 4.2; and a setting has 32 bits. */
#define MOST_WINDOW 0x7fffffff
#define MOST_FRAME 0xffffff

void mf_limits_default(struct mf_limits *limits)
{
#define X(field, name, unit, value, least, text) limits->field = value;
    MF_LIMITS(X)
#undef X
}

static uint64_t at_least(uint64_t value, uint64_t least)
{
    return value > least ? value : least;
}

static void at_most(uint64_t *value, uint64_t most)
{
    *value = *value < most ? *value : most;
}

void mf_limits_raise(struct mf_limits *limits)
{
#define X(field, name, unit, value, least, text) limits->field = at_least(limits->field, least);
    MF_LIMITS(X)
#undef X
    at_most(&limits->h2_first_window, MOST_WINDOW);
    at_most(&limits->h2_stream_window, MOST_WINDOW);
    at_most(&limits->h2_connection_window, MOST_WINDOW);
    at_most(&limits->h2_frame, MOST_FRAME);
    at_most(&limits->h2_header_list, UINT32_MAX);
}

const struct mf_limit_info *mf_limits_table(void)
{
    static const struct mf_limit_info table[] = {
#define X(field, name, unit, value, least, text) {#name, #unit, text, value, least},
        MF_LIMITS(X)
#undef X
        {0}};
    return table;
}

int mf_limits_set(struct mf_limits *limits, const char *name, uint64_t value)
{
    uint64_t *field = (uint64_t *)limits; /* the list makes nothing but uint64_t */
    for (const struct mf_limit_info *info = mf_limits_table(); info->name; info++, field++) {
        if (strcmp(info->name, name) != 0)
            continue;
        if (value < info->least)
            return MF_ELIMIT;
        *field = value;
        return 0;
    }
    return -ENOENT;
}
