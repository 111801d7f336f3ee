#include "table/peer.h"

#include "base/list.h"
#include "table/writer.h"

#include <time.h>

enum { FIRST_BUCKETS = 64 };

int mf_peers_init(struct mf_peers *peers)
{
    peers->buckets = mf_zalloc(FIRST_BUCKETS * sizeof *peers->buckets);
    peers->n_buckets = FIRST_BUCKETS;
    return peers->buckets ? 0 : -ENOMEM;
}

static void release(struct mf_peer *peer)
{
    mf_slab_free(peer);
}

void mf_peers_dispose(struct mf_peers *peers)
{
    for (uint32_t i = 0; i < peers->ids; i++)
        if (peers->by_id[i])
            release(peers->by_id[i]);
    mf_free(peers->buckets);
    mf_free(peers->by_id);
    mf_free(peers->free_ids);
}

/* The loops' clock. */
static uint64_t monotonic(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static struct mf_peer **bucket_of(struct mf_peers *peers, const struct mf_addr *addr)
{
    uint64_t hash = mf_hash(mf_slice_of(&addr->storage, addr->len), 0);
    return &peers->buckets[hash & (peers->n_buckets - 1)];
}

/* Without memory the chains just stay longer. */
static void widen(struct mf_peers *peers)
{
    struct mf_peers wide = *peers;
    wide.n_buckets *= 2;
    wide.buckets = mf_zalloc(wide.n_buckets * sizeof *wide.buckets);
    if (!wide.buckets)
        return;
    for (uint32_t i = 0; i < peers->n_buckets; i++) {
        for (struct mf_peer *peer = peers->buckets[i], *next; peer; peer = next) {
            next = peer->_next;
            struct mf_peer **bucket = bucket_of(&wide, &peer->addr);
            peer->_next = *bucket;
            *bucket = peer;
        }
    }
    mf_free(peers->buckets);
    *peers = wide;
}

/* Room for one more id, on the stack of free ones as well, so that giving one back cannot fail. */
static int reserve_id(struct mf_peers *peers)
{
    if (peers->n_free || peers->ids < peers->ids_room)
        return 0;
    uint32_t room = peers->ids_room ? peers->ids_room * 2 : 64;
    struct mf_peer **by_id = mf_resize(peers->by_id, room * sizeof *by_id);
    if (!by_id)
        return -ENOMEM;
    peers->by_id = by_id;
    uint32_t *free_ids = mf_resize(peers->free_ids, room * sizeof *free_ids);
    if (!free_ids)
        return -ENOMEM;
    peers->free_ids = free_ids;
    peers->ids_room = room;
    return 0;
}

struct mf_peer *mf_peer_intern(struct mf_table *table, const struct mf_addr *addr)
{
    struct mf_peers *peers = &table->peers;
    for (struct mf_peer *peer = *bucket_of(peers, addr); peer; peer = peer->_next) {
        if (mf_addr_eq(&peer->addr, addr)) {
            mf_peer_take(peer);
            return peer;
        }
    }
    if (reserve_id(peers) != 0)
        return NULL;
    char text[MF_ADDR_TEXT];
    size_t len = mf_addr_format(addr, text);
    struct mf_peer *peer = mf_table_zalloc(table, peers->n, offsetof(struct mf_peer, text) + len + 1);
    if (!peer)
        return NULL;
    peer->_table = table;
    peer->addr = *addr;
    mf_store_relaxed(&peer->since, monotonic());
    memcpy(peer->text, text, len + 1);
    mf_store_relaxed(&peer->_refs, 1); /* published with the first service that uses it */
    peer->id = peers->n_free ? peers->free_ids[--peers->n_free] : peers->ids++;
    peers->by_id[peer->id] = peer;
    if (++peers->n > peers->n_buckets)
        widen(peers);
    struct mf_peer **bucket = bucket_of(peers, addr);
    peer->_next = *bucket;
    *bucket = peer;
    return peer;
}

void mf_peer_take(struct mf_peer *peer)
{
    /* Relaxed: whoever takes already has it, by another reference or by an epoch section. */
    atomic_fetch_add_explicit(&peer->_refs, 1, memory_order_relaxed);
}

void mf_peer_list(struct mf_peer *peer, int by)
{
    /* The writer alone counts; a pool that reads it late only closes late. */
    mf_count(&peer->listed, (uint32_t)by);
}

void mf_peer_give(struct mf_table *table, struct mf_peer *peer)
{
    uint64_t bit = UINT64_C(1) << (peer->id % 64); /* read now: after the last reference it is not ours */
    /* Release pairs with the acquire in mf_peers_reclaim: all uses of the peer come before it is freed. */
    if (atomic_fetch_sub_explicit(&peer->_refs, 1, memory_order_acq_rel) == 1)
        /* Pairs with the exchange in mf_peers_reclaim, which looks at the peers behind the bit after it. */
        atomic_fetch_or_explicit(&table->dropped_peers, bit, memory_order_release);
}

void mf_peer_changed(struct mf_peer *peer)
{
    /* Release pairs with the acquire in mf_levels_look. */
    atomic_fetch_add_explicit(&peer->_table->health, 1, memory_order_release);
}

static void on_retired(struct mf_epoch_entry *entry)
{
    struct mf_peer *peer = MF_CONTAINER(entry, struct mf_peer, _entry);
    struct mf_peers *peers = &peer->_table->peers;
    peers->by_id[peer->id] = NULL;
    peers->free_ids[peers->n_free++] = peer->id;
    release(peer);
}

static void unlink_peer(struct mf_table *table, struct mf_peer *peer)
{
    struct mf_peer **at = bucket_of(&table->peers, &peer->addr);
    while (*at != peer)
        at = &(*at)->_next;
    *at = peer->_next;
    table->peers.n--;
    peer->_next = peer; /* unlinked: it waits for its last readers only */
    mf_epoch_retire(&table->epoch, &peer->_entry, on_retired);
}

void mf_peers_reclaim(struct mf_table *table)
{
    /* Acquire pairs with the release in give: the count behind each bit is seen at zero, or taken up again since. */
    uint64_t bits = atomic_exchange_explicit(&table->dropped_peers, 0, memory_order_acquire);
    for (; bits; bits &= bits - 1) {
        for (uint32_t id = (uint32_t)__builtin_ctzll(bits); id < table->peers.ids; id += 64) {
            struct mf_peer *peer = table->peers.by_id[id];
            /* At zero only the writer could bring it back, so it stays there. Acquire pairs with the release in give. */
            if (peer && peer->_next != peer && mf_load_acquire(&peer->_refs) == 0)
                unlink_peer(table, peer);
        }
    }
}

bool mf_table_next_peers(struct mf_table *table, uint64_t *cursor, void (*fn)(void *arg, struct mf_peer *peer),
                         void *arg, size_t max)
{
    for (; max > 0 && *cursor < table->peers.ids; max--, ++*cursor) {
        struct mf_peer *peer = table->peers.by_id[*cursor];
        if (peer && peer->_next != peer)
            fn(arg, peer);
    }
    return *cursor < table->peers.ids;
}

void mf_table_each_peer(struct mf_table *table, void (*fn)(void *arg, struct mf_peer *peer), void *arg)
{
    for (uint32_t i = 0; i < table->peers.ids; i++) {
        struct mf_peer *peer = table->peers.by_id[i];
        if (peer && peer->_next != peer)
            fn(arg, peer);
    }
}
