#include "table/maglev.h"

#include "base/mem.h"

#include <stdlib.h>

/* In so many turns that only one member takes a place in, a walk over all of them costs more than to know who is next. */
enum { SPARSE = 16 };

/* A member while the table is filled: its next wish, and when it may take a place. */
struct wish {
    struct mf_slice name;
    uint32_t weight, index, at, skip;
    uint64_t due, turn; /* turn: its next, where that is kept */
};

uint32_t mf_maglev_size(uint32_t n)
{
    return n <= MF_MAGLEV_FEW ? MF_MAGLEV_SMALL : n <= MF_MAGLEV_SOME ? MF_MAGLEV_MIDDLE : MF_MAGLEV_LARGE;
}

static int by_name(const void *left, const void *right)
{
    const struct wish *a = left, *b = right;
    size_t len = a->name.len < b->name.len ? a->name.len : b->name.len;
    int order = len ? memcmp(a->name.ptr, b->name.ptr, len) : 0;
    if (order == 0)
        order = (a->name.len > b->name.len) - (a->name.len < b->name.len);
    return order ? order : (a->index > b->index) - (a->index < b->index);
}

static void put(struct mf_maglev *maglev, uint32_t place, uint32_t index)
{
    void *places = maglev->_places;
    if (maglev->width == 1)
        ((uint8_t *)places)[place] = (uint8_t)index;
    else if (maglev->width == 2)
        ((uint16_t *)places)[place] = (uint16_t)index;
    else
        ((uint32_t *)places)[place] = index;
}

/* The next place that it wishes and nobody has. */
static uint32_t take(struct wish *wish, uint64_t *taken, uint32_t size)
{
    for (;;) {
        uint32_t place = wish->at;
        wish->at = place + wish->skip < size ? place + wish->skip : place + wish->skip - size;
        if (taken[place / 64] >> place % 64 & 1)
            continue;
        taken[place / 64] |= UINT64_C(1) << place % 64;
        return place;
    }
}

/* Turn by turn; who weighs less than the most waits for its share of turns. */
static void fill_by_turns(struct mf_maglev *maglev, struct wish *wishes, uint32_t n, uint64_t *taken, uint32_t most)
{
    uint32_t left = maglev->size;
    for (uint64_t turn = 1;; turn++) {
        for (uint32_t i = 0; i < n; i++) {
            struct wish *wish = &wishes[i];
            if (turn * wish->weight < wish->due)
                continue;
            wish->due += most;
            put(maglev, take(wish, taken, maglev->size), wish->index);
            if (--left == 0)
                return;
        }
    }
}

/* Of one turn those that come first by name go first, as they lie. */
static bool before(const struct wish *a, const struct wish *b)
{
    return a->turn < b->turn || (a->turn == b->turn && a < b);
}

static void sink(struct wish **heap, uint32_t n)
{
    struct wish *wish = heap[0];
    uint32_t at = 0;
    for (uint32_t child; (child = 2 * at + 1) < n; at = child) {
        child += child + 1 < n && before(heap[child + 1], heap[child]);
        if (before(wish, heap[child]))
            break;
        heap[at] = heap[child];
    }
    heap[at] = wish;
}

/* The same, without the turns that somebody only waits in. `heap`: room for all. */
static void fill_by_heap(struct mf_maglev *maglev, struct wish *wishes, uint32_t n, uint64_t *taken, uint32_t most,
                         struct wish **heap)
{
    for (uint32_t i = 0; i < n; i++) {
        wishes[i].turn = 1;
        heap[i] = &wishes[i];
    }
    for (uint32_t left = maglev->size; left > 0; left--) {
        struct wish *wish = heap[0];
        put(maglev, take(wish, taken, maglev->size), wish->index);
        wish->due += most;
        uint64_t due = (wish->due + wish->weight - 1) / wish->weight;
        wish->turn = due > wish->turn ? due : wish->turn + 1;
        sink(heap, n);
    }
}

struct mf_maglev *mf_maglev_new(const struct mf_maglev_member *members, uint32_t n, uint32_t size)
{
    uint32_t width = n <= UINT8_MAX + 1 ? 1 : n <= UINT16_MAX + 1 ? 2 : 4, most = 0;
    struct mf_maglev *maglev = mf_alloc(sizeof *maglev + (size_t)size * width);
    struct wish *wishes = mf_alloc(n * sizeof *wishes);
    uint64_t *taken = mf_zalloc((size / 64 + 1) * sizeof *taken), all = 0;
    for (uint32_t i = 0; i < n; i++) {
        most = members[i].weight > most ? members[i].weight : most;
        all += members[i].weight;
    }
    bool sparse = all * SPARSE < (uint64_t)most * n;
    struct wish **heap = sparse ? mf_alloc(n * sizeof *heap) : NULL;
    if (maglev && wishes && taken && (heap || !sparse)) {
        *maglev = (struct mf_maglev){.size = size, .width = width};
        for (uint32_t i = 0; i < n; i++) {
            uint64_t hash = mf_hash(members[i].name, 0);
            wishes[i] = (struct wish){.name = members[i].name, .weight = members[i].weight, .index = i,
                                      .at = (uint32_t)(hash % size),
                                      .skip = (uint32_t)(mf_hash(members[i].name, 1) % (size - 1)) + 1};
        }
        qsort(wishes, n, sizeof *wishes, by_name);
        if (sparse)
            fill_by_heap(maglev, wishes, n, taken, most, heap);
        else
            fill_by_turns(maglev, wishes, n, taken, most);
    } else {
        mf_free(maglev);
        maglev = NULL;
    }
    mf_free(wishes);
    mf_free(taken);
    mf_free(heap);
    return maglev;
}

void mf_maglev_free(struct mf_maglev *maglev)
{
    mf_free(maglev);
}

size_t mf_maglev_bytes(const struct mf_maglev *maglev)
{
    return sizeof *maglev + (size_t)maglev->size * maglev->width;
}
