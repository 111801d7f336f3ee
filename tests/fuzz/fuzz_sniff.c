/* fuzz_sniff: what is told from the first bytes is never taken back, and agrees with the head that is read then. */
#include "codec/dubbo.h"
#include "codec/h2_frame.h"
#include "codec/sniff.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    enum mf_protocol told = MF_PROTOCOL_MORE;
    struct mf_dubbo_head head;
    for (size_t n = 0; n <= len && n < 2 * MF_SNIFF_TARGET; n++) {
        enum mf_protocol now = mf_sniff(mf_slice_of(data, n));
        if ((told != MF_PROTOCOL_MORE && now != told) || (now == MF_PROTOCOL_MORE && n > MF_SNIFF_TARGET + 16))
            abort();
        told = now;
        int rc = mf_dubbo_parse_head(mf_slice_of(data, n), 1 << 16, &head);
        if ((rc == MF_EDUBBO_MAGIC && told == MF_PROTOCOL_DUBBO) || (rc != MF_EDUBBO_MAGIC && told > MF_PROTOCOL_DUBBO) ||
            (rc == MF_EMORE) != (n < 16 && rc != MF_EDUBBO_MAGIC))
            abort();
        if (mf_h2_frame_preface(mf_slice_of(data, n)) > 0 && told != MF_PROTOCOL_HTTP2)
            abort();
        if (told == MF_PROTOCOL_HTTP2 && (n < 4 || memcmp(data, "PRI", 3) != 0)) /* nothing else begins like that */
            abort();
        if (rc != MF_DUBBO_HEAD_LEN)
            continue;
        uint8_t again[MF_DUBBO_HEAD_LEN];
        mf_dubbo_put_head(again, &head);
        again[3] = data[3]; /* rubbish in requests */
        if (memcmp(again, data, sizeof again) != 0 || head.body_len > 1 << 16)
            abort();
    }
    return 0;
}
