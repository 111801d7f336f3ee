#pragma once
/* change: what of a message goes on otherwise than it came: fields taken out and put, another path, another authority.
 *
 * Data that whoever hands it out keeps, and pure functions that apply it. */
#include "codec/h2_name.h"

/* How much all levels of one message may put, and take out. */
enum { MF_CHANGE_FIELDS = 64 };

struct mf_change_put {
    struct mf_slice name;  /* as it was written: what Dubbo puts */
    struct mf_slice lower; /* what HTTP puts */
    struct mf_slice value;
    bool beside;           /* what is there stays */
};

/* What is taken out goes first; then what is put, in its order. */
struct mf_change_level {
    uint32_t n_removes, n_puts;
    const struct mf_slice *removes, *lower_removes;
    const struct mf_change_put *puts;
};

struct mf_change_list {
    uint32_t n_levels; /* in the order in which they act */
    struct mf_change_level levels[3]; /* a rule's, its target's, and one of our own */
};

enum mf_change_path { MF_CHANGE_PATH_NONE, MF_CHANGE_PATH_BEGIN, MF_CHANGE_PATH_WHOLE, MF_CHANGE_PATH_PARTS };

/* Of a path without its query, which stays. */
struct mf_change_rewrite {
    uint8_t path;          /* enum mf_change_path */
    uint32_t strip;        /* BEGIN: so many bytes give way */
    struct mf_slice to;    /* to this; PARTS: a blob of replace.h */
    struct mf_slice authority; /* empty: as it came */
};

/* What calls to one target of a rule are changed by. */
struct mf_change {
    struct mf_change_list request, response;
    struct mf_change_rewrite rewrite;
};

/* Whether anything is. */
static inline bool mf_change_any(const struct mf_change *change)
{
    const struct mf_change_rewrite *rewrite = &change->rewrite;
    return change->request.n_levels || change->response.n_levels || rewrite->path != MF_CHANGE_PATH_NONE ||
           rewrite->authority.len;
}

/* Fields of HTTP as they go on, in place. There is room for MF_CHANGE_FIELDS more. Returns how many. */
uint32_t mf_change_fields(const struct mf_change_list *list, struct mf_pair *fields, struct mf_h2_mark *marks, uint32_t n);

/* Writes :path as it goes on. Its length; 0: as it came; MF_ELIMIT: too long, or more work than replace.h allows. */
long mf_change_path(const struct mf_change_rewrite *rewrite, struct mf_slice path, uint8_t *to, size_t room);

/* What of Dubbo's attachments is put, the last of each name alone, in `pairs` (room for MF_CHANGE_FIELDS). How many. */
uint32_t mf_change_attachments(const struct mf_change_list *list, struct mf_pair *pairs);
/* Whether an attachment of that name is taken out and not put. */
bool mf_change_drops(const struct mf_change_list *list, struct mf_slice name);

/* Where a redirect leads, of a request of these: another path where `uri` has one, else the same. */
struct mf_change_redirect {
    struct mf_slice uri, authority, scheme; /* empty: as it was */
    uint32_t port;                          /* 0: as it was */
    bool same_port;                         /* the request's, also at another authority */
};
/* Its length; MF_ELIMIT: no room. `query`.ptr NULL: none. */
long mf_change_location(const struct mf_change_redirect *redirect, struct mf_slice scheme, struct mf_slice authority,
                        struct mf_slice path, struct mf_slice query, uint8_t *to, size_t room);
