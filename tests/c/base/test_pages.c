/* pages: pieces that begin at pages and stay apart, whose pages go back to the kernel while the others keep what they hold. */
#include "test.h"

#include "base/pages.h"

enum { MANY = 5 * MF_PAGES_PIECES, SIZE = 3 * MF_PAGES_SIZE };

static struct mf_pages pages;
static struct mf_pages_piece pieces[MANY];

static void fill(int i)
{
    memset(pieces[i].bytes, i + 1, SIZE);
}

static bool is_whole(int i)
{
    const uint8_t *bytes = pieces[i].bytes;
    for (size_t k = 0; k < SIZE; k++)
        if (bytes[k] != (uint8_t)(i + 1))
            return false;
    return true;
}

/* Pages of a piece that lie in memory. */
static int resident(const struct mf_pages_piece *piece)
{
    unsigned char each[SIZE / MF_PAGES_SIZE];
    int n = 0;
    if (mincore(piece->bytes, SIZE, each) < 0)
        return -1;
    for (size_t i = 0; i < sizeof each; i++)
        n += each[i] & 1;
    return n;
}

static void take(int i)
{
    pieces[i] = mf_pages_take(&pages);
    CHECK(pieces[i].bytes && (uintptr_t)pieces[i].bytes % MF_PAGES_SIZE == 0);
    fill(i);
}

static void test_given_back(void)
{
    if (sysconf(_SC_PAGESIZE) != MF_PAGES_SIZE) {
        printf("pages: %ld bytes are one here, and pieces are none of them\n", sysconf(_SC_PAGESIZE));
        return;
    }
    mf_pages_init(&pages, SIZE - 100);
    for (int i = 0; i < MANY; i++)
        take(i);
    for (int i = 0; i < MANY; i += 2)
        mf_pages_give(&pages, pieces[i]);
    for (int i = 0; i < MANY; i++) {
        if (i % 2)
            CHECK(is_whole(i));
        else if (i >= MF_PAGES_PIECES)
            CHECK_INT(resident(&pieces[i]), 0);
    }
    for (int i = 0; i < MANY; i += 2)
        take(i);
    for (int i = 0; i < MANY; i++) {
        CHECK(is_whole(i));
        mf_pages_give(&pages, pieces[i]);
    }
    mf_pages_dispose(&pages);
}

/* The first region stays, and is used first; the others go with their last piece. */
static void test_regions(void)
{
    fail_at(0);
    mf_pages_init(&pages, SIZE);
    for (int i = 0; i < MANY; i++)
        take(i);
    CHECK_INT(fail_live, 5);
    mf_pages_give(&pages, pieces[MANY - 1]);
    mf_pages_give(&pages, pieces[3]);
    struct mf_pages_piece again = mf_pages_take(&pages);
    CHECK(again.bytes == pieces[3].bytes);
    for (int i = MANY - 2; i >= 0; i--)
        mf_pages_give(&pages, i == 3 ? again : pieces[i]);
    CHECK_INT(fail_live, 1);
    mf_pages_dispose(&pages);
    CHECK_INT(fail_live, 0);

    mf_pages_init(&pages, SIZE);
    fail_at(1);
    CHECK(!mf_pages_take(&pages).bytes);
    mf_pages_give(&pages, (struct mf_pages_piece){0});
    fail_at(0);
    take(0);
    mf_pages_give(&pages, pieces[0]);
    mf_pages_dispose(&pages);
}

int main(void)
{
    test_given_back();
    test_regions();
    return test_end("pages");
}
