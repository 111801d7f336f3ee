/* sniff: decides on the earliest byte that proves it. */
#include "codec/sniff.h"
#include "test.h"

int main(void)
{
    CHECK_INT(mf_sniff((struct mf_slice){0}), MF_PROTOCOL_MORE);
    CHECK_INT(mf_sniff(guarded(MF_SLICE("\xda"))), MF_PROTOCOL_MORE);
    CHECK_INT(mf_sniff(guarded(MF_SLICE("\xda\xbb"))), MF_PROTOCOL_DUBBO);
    CHECK_INT(mf_sniff(guarded(MF_SLICE("\xda\xba"))), MF_PROTOCOL_OPAQUE);
    CHECK_INT(mf_sniff(guarded(MF_SLICE("ls\r\n"))), MF_PROTOCOL_OPAQUE);
    CHECK_INT(mf_sniff(guarded(MF_SLICE("P"))), MF_PROTOCOL_OPAQUE);
    return test_end("codec/sniff");
}
