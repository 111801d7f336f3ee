/* limits: what HTTP/2 has no number for is not taken as a smaller one. */
#include "call/limits.h"

#include "test.h"

static void test_most(void)
{
    struct mf_limits limits;
    mf_limits_default(&limits);
    limits.h2_first_window = limits.h2_frame = limits.h2_header_list = UINT64_C(1) << 32;
    limits.h2_stream_window = (UINT64_C(1) << 32) + 4096;
    limits.h2_connection_window = UINT64_C(3) << 30;
    limits.max_memory = UINT64_C(1) << 40;
    mf_limits_raise(&limits);
    CHECK_INT(limits.h2_first_window, INT32_MAX);
    CHECK_INT(limits.h2_stream_window, INT32_MAX);
    CHECK_INT(limits.h2_connection_window, INT32_MAX);
    CHECK_INT(limits.h2_frame, 0xffffff);
    CHECK_INT(limits.h2_header_list, UINT32_MAX);
    CHECK_INT(limits.max_memory, INT64_C(1) << 40);
    limits.h2_frame = 1;
    mf_limits_raise(&limits);
    CHECK_INT(limits.h2_frame, 16384);
}

int main(void)
{
    test_most();
    return test_end("call/limits");
}
