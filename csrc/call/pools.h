#pragma once
/* pools: a worker's pools by peer and by address: found, made, freed. */
#include "call/pool.h"

void mf_pools_init(struct mf_pools *pools, struct mf_local *local);
/* Frees them all: their links and queues are gone. */
void mf_pools_dispose(struct mf_pools *pools);
/* Closes what is idle and no longer in the table; frees what is empty. Once a second. */
void mf_pools_sweep(struct mf_pools *pools);

/* The pool of a peer of the table, or of an address; made when there is none. NULL: no memory. */
struct mf_pool *mf_pools_of_peer(struct mf_pools *pools, struct mf_dialer *dialer, struct mf_peer *peer);
struct mf_pool *mf_pools_of_addr(struct mf_pools *pools, struct mf_dialer *dialer, const struct mf_addr *addr);
