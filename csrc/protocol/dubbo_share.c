#include "protocol/dubbo_share.h"

#include "base/mem.h"

#include <errno.h>

int mf_dubbo_share_init(struct mf_dubbo_share *share, const struct mf_dialer_ops *ops, uint32_t index,
                        struct mf_local *local, struct mf_calls *calls)
{
    const struct mf_limits *limits = local->limits;
    *share = (struct mf_dubbo_share){.dialer = {ops, index}, .local = local, .calls = calls};
    share->limits = (struct mf_dubbo_limits){(uint32_t)limits->max_depth, (uint32_t)limits->max_classes};
    share->room.max_attachments = (uint32_t)limits->max_attachments;
    share->room.text_len = (size_t)limits->max_text;
    share->room.text = mf_alloc(share->room.text_len);
    share->room.attachments = mf_alloc((limits->max_attachments + MF_DUBBO_LEADING) * sizeof *share->room.attachments);
    return share->room.text && share->room.attachments ? 0 : -ENOMEM;
}

void mf_dubbo_share_dispose(struct mf_dubbo_share *share)
{
    mf_free(share->room.text);
    mf_free(share->room.attachments);
    for (int i = 0; i < MF_MEMOS; i++)
        mf_free(share->memos._memos[i]);
}
