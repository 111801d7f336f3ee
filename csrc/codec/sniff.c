#include "codec/sniff.h"

enum mf_protocol mf_sniff(struct mf_slice in)
{
    if (!in.len)
        return MF_PROTOCOL_MORE;
    if (in.ptr[0] != 0xda)
        return MF_PROTOCOL_OPAQUE;
    if (in.len < 2)
        return MF_PROTOCOL_MORE;
    return in.ptr[1] == 0xbb ? MF_PROTOCOL_DUBBO : MF_PROTOCOL_OPAQUE;
}
