#pragma once
/* mirror: whom a rule has copies of its calls sent to, and of how many. */
#include "table/actions.h"
#include "table/meter.h"
#include "table/route.h"

struct mf_ctarget;
struct mf_service;

enum { MF_MIRROR_ALL = 1000000 };

struct mf_mirror {
    struct mf_mirror *next;
    const struct mf_ctarget *target; /* whose cluster the rule holds */
    struct mf_meter *meter;          /* with a reference */
    uint32_t share;                  /* of MF_MIRROR_ALL calls */
};

/* Adds one behind those that there are. `target`: one of the rule's, which no weight and no fallback need lead to; there no
 * fallback is taken. Takes its own reference to `meter`. 0, -ENOMEM, MF_ELIMIT. */
int mf_mirror_add(struct mf_service *service, uint16_t rule, uint16_t target, struct mf_actions *actions, uint32_t share,
                  struct mf_meter *meter);
/* Gives back what they hold. */
void mf_mirror_let_go(struct mf_actions *actions);

/* Whether a call with that random number is copied. */
bool mf_mirror_drawn(const struct mf_mirror *mirror, uint64_t random);
/* An available instance that takes such calls, or NULL. Of actions that a lookup has just returned. */
struct mf_peer *mf_mirror_pick(const struct mf_mirror *mirror, const struct mf_query *query);
