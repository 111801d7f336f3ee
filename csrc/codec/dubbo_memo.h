#pragma once
/* dubbo_memo: what one request said, so that the next one that says the same need not be read again.
 *
 * A caller's requests differ in their arguments; the strings before them and mostly the attachments behind them are
 * the same bytes every time. Those are kept here with what they mean. A request that has the same bytes there means the
 * same, and only its arguments are passed over. Pure, like the parser: what it answers depends on the bytes alone. */
#include "codec/dubbo.h"

enum { MF_DUBBO_MEMO_PAIRS = 16 + MF_DUBBO_LEADING, MF_DUBBO_MEMO_ROOM = 1024 };

struct mf_dubbo_memo {
    struct mf_dubbo_request said; /* its slices lie in `_bytes`; where the attachments are is of the last recall */
    uint32_t _lead, _tail;        /* lengths: before the arguments, and from the attachments on */
    uint8_t _serialization;
    struct mf_pair _pairs[MF_DUBBO_MEMO_PAIRS];
    uint8_t _bytes[MF_DUBBO_MEMO_ROOM];
};

/* Keeps what mf_dubbo_parse_request made of `body`. False, and the memo matches nothing, where the attachments' meaning
 * depends on the arguments, a text is not a slice of the body, or there is more than fits. */
bool mf_dubbo_memo_keep(struct mf_dubbo_memo *memo, uint8_t serialization, struct mf_slice body,
                        const struct mf_dubbo_request *request);

/* True when `body` starts with the same strings: the same service, version, method and types. */
bool mf_dubbo_memo_leads(const struct mf_dubbo_memo *memo, uint8_t serialization, struct mf_slice body);

/* After mf_dubbo_memo_leads: these strings as they lie in `body`; then mf_dubbo_parse_rest. */
void mf_dubbo_memo_strings(const struct mf_dubbo_memo *memo, struct mf_slice body, struct mf_dubbo_request *out);

/* After mf_dubbo_memo_leads: true when the attachments are the same too and the arguments between can be passed over
 * within `limits` (NULL: the most). Then `said` is what mf_dubbo_parse_request would say of `body`. */
bool mf_dubbo_memo_recall(struct mf_dubbo_memo *memo, struct mf_slice body, const struct mf_dubbo_limits *limits);
