/* slab: pieces of every size, zeroed, apart from each other, given back region by region. */
#include "test.h"

#include "base/atom.h"
#include "base/slab.h"

#include <stdint.h>

enum { MANY = 40000, SIZE = 120 }; /* of two cache lines less a word: over two regions' worth */

static unsigned char *pieces[MANY];

static bool is_filled(const unsigned char *piece, size_t size, unsigned char with)
{
    for (size_t i = 0; i < size; i++)
        if (piece[i] != with)
            return false;
    return true;
}

static void take(struct mf_slab *slab, uint32_t i)
{
    pieces[i] = mf_slab_zalloc(slab, SIZE);
    CHECK(pieces[i] && (uintptr_t)pieces[i] % MF_CACHE_LINE == 0);
    CHECK(is_filled(pieces[i], SIZE, 0));
    memset(pieces[i], (int)(i % 255 + 1), SIZE);
}

static void give(uint32_t i)
{
    CHECK(is_filled(pieces[i], SIZE, (unsigned char)(i % 255 + 1)));
    mf_slab_free(pieces[i]);
}

static void test_many(void)
{
    struct mf_slab slab;
    mf_slab_init(&slab);
    fail_at(0);
    for (uint32_t i = 0; i < MANY; i++)
        take(&slab, i);
    CHECK_INT(fail_seen, 3);
    for (uint32_t i = 0; i < MANY; i += 2)
        give(i);
    for (uint32_t i = 0; i < MANY; i += 2)
        take(&slab, i);
    CHECK_INT(fail_seen, 3); /* the places of those given back serve again */
    for (uint32_t i = 0; i < MANY; i++)
        give(i);
    take(&slab, 0); /* nothing was kept */
    CHECK_INT(fail_seen, 4);
    give(0);
}

/* The first lines of pieces use all sets of a cache evenly, and none reaches beyond its region. */
static void test_sets(void)
{
    enum { LINES = 3, N = 32800 }; /* just over three regions' worth */
    struct mf_slab slab;
    size_t size = LINES * MF_CACHE_LINE, first[LINES] = {0};
    mf_slab_init(&slab);
    for (int i = 0; i < N; i++) {
        pieces[i] = mf_slab_zalloc(&slab, size - sizeof(uintptr_t));
        uintptr_t at = (uintptr_t)pieces[i] % MF_HUGE_PAGE;
        CHECK(at + size <= MF_HUGE_PAGE);
        first[at / MF_CACHE_LINE % LINES]++;
    }
    for (int i = 0; i < LINES; i++)
        CHECK(first[i] > N / LINES - N / 20);
    for (int i = 0; i < N; i++)
        mf_slab_free(pieces[i]);
}

static void test_sizes(void)
{
    struct mf_slab slab;
    unsigned char *sized[1200];
    mf_slab_init(&slab);
    for (size_t size = 1; size < 1200; size++) { /* the largest have allocations of their own */
        sized[size] = mf_slab_zalloc(&slab, size);
        CHECK(sized[size] && is_filled(sized[size], size, 0));
        memset(sized[size], (int)(size % 256), size);
    }
    for (size_t size = 1; size < 1200; size++) {
        CHECK(is_filled(sized[size], size, (unsigned char)size));
        mf_slab_free(sized[size]);
    }
    mf_slab_free(mf_zalloc_line(5));
    mf_slab_free(NULL);
}

static void test_no_memory(void)
{
    struct mf_slab slab;
    mf_slab_init(&slab);
    fail_at(1);
    CHECK(!mf_slab_zalloc(&slab, SIZE));
    fail_at(0);
    take(&slab, 1);
    give(1);
}

static void test_huge(void)
{
    unsigned char *piece = mf_zalloc_line(MF_HUGE_PAGE + 5);
    CHECK((uintptr_t)piece % MF_HUGE_PAGE == 0);
    CHECK(is_filled(piece, MF_HUGE_PAGE + 5, 0));
    memset(piece, 1, MF_HUGE_PAGE + 5);
    mf_free_line(piece);
}

int main(void)
{
    test_many();
    test_sets();
    test_sizes();
    test_no_memory();
    test_huge();
    return test_end("base/slab");
}
