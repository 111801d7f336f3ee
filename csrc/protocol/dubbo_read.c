#include "protocol/dubbo_read.h"

#include "base/mem.h"
#include "table/hash.h"

/* Moves a place to the front by one. */
static void prefer(struct mf_recent *recent, int i)
{
    if (i == 0)
        return;
    uint16_t place = recent->_places[i];
    recent->_places[i] = recent->_places[i - 1];
    recent->_places[i - 1] = place;
}

static void note(struct mf_recent *recent, uint16_t place)
{
    int i = 0;
    while (i < MF_MEMO_VARIANTS - 1 && recent->_places[i] && recent->_places[i] != place)
        i++;
    recent->_places[i] = place;
}

/* Kept at the first miss of a place and ever more rarely after it: attachments that differ in every request, or two
 * requests that fall on one place, must not cost a copy each time. */
static void keep(struct mf_dubbo_share *share, struct mf_recent *recent, uint8_t serialization, struct mf_slice body,
                 const struct mf_dubbo_request *request)
{
    struct mf_memos *memos = &share->memos;
    struct mf_slice tail = {body.ptr + request->attachments_at, body.len - request->attachments_at};
    uint64_t lead = mf_hash(mf_slice_of(body.ptr, request->arguments_at), 0);
    uint32_t at = (uint32_t)(lead * MF_MEMO_VARIANTS + mf_hash(tail, 0) % MF_MEMO_VARIANTS) % MF_MEMOS;
    struct mf_dubbo_memo *memo = memos->_memos[at];
    const struct mf_dubbo_limits *limits = &share->limits;
    if (memo && mf_dubbo_memo_leads(memo, serialization, body) && mf_dubbo_memo_recall(memo, body, limits)) {
        note(recent, (uint16_t)(at + 1)); /* another connection's was the same */
        return;
    }
    uint32_t misses = ++memos->_misses[at];
    if (misses & (misses - 1))
        return;
    if (!memo)
        memo = memos->_memos[at] = mf_zalloc(sizeof *memo); /* without memory there is just nothing to recall */
    if (memo && mf_dubbo_memo_keep(memo, serialization, body, request))
        note(recent, (uint16_t)(at + 1));
}

int mf_dubbo_read(struct mf_dubbo_share *share, struct mf_recent *recent, uint8_t serialization, struct mf_slice body,
                  struct mf_dubbo_request *own, const struct mf_dubbo_request **said, const char **why)
{
    const struct mf_dubbo_limits *limits = &share->limits;
    const struct mf_dubbo_memo *lead = NULL;
    for (int i = 0; i < MF_MEMO_VARIANTS && recent->_places[i]; i++) {
        struct mf_dubbo_memo *memo = share->memos._memos[recent->_places[i] - 1];
        if (!mf_dubbo_memo_leads(memo, serialization, body))
            continue;
        if (mf_dubbo_memo_recall(memo, body, limits)) {
            prefer(recent, i);
            MF_COUNT(share->local, requests_recalled);
            *said = &memo->said;
            return 0;
        }
        lead = memo;
    }
    *said = own;
    int rc;
    if (lead) {
        mf_dubbo_memo_strings(lead, body, own);
        rc = mf_dubbo_parse_rest(serialization, body, limits, &share->room, own, why);
    } else {
        rc = mf_dubbo_parse_request(serialization, body, limits, &share->room, own, why);
    }
    if (own->text_lost)
        MF_COUNT(share->local, limit_max_text);
    if (rc == 0 && own->callback)
        return MF_EDUBBO_CALLBACK;
    if (rc == 0 && own->plain)
        keep(share, recent, serialization, body, own);
    return rc;
}
