/* base: the arena, the buffer, the block, the list and the error table. */
#include "base/addr.h"
#include "base/block.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/list.h"
#include "base/ring.h"
#include "test.h"

#include <errno.h>

static void test_errors(void)
{
    CHECK(strcmp(mf_err_name(MF_EMORE), "MF_EMORE") == 0);
    CHECK_INT(mf_err_kind(MF_EMORE), MF_KIND_more);
    CHECK_INT(mf_err_kind(MF_EDUBBO_SIZE), MF_KIND_limit);
    CHECK_INT(mf_err_kind(-ENOMEM), MF_KIND_system);
    CHECK(strcmp(mf_err_name(-ENOMEM), "ENOMEM") == 0);
    CHECK(mf_err_text(-99999)[0] != 0);
}

static void test_arena(void)
{
    struct mf_arena arena = {0};
    uint8_t *a = mf_arena_alloc(&arena, 1), *b = mf_arena_alloc(&arena, 5000), *c = mf_arena_alloc(&arena, 16);
    CHECK(a && b && c);
    CHECK_INT((uintptr_t)a % 16, 0);
    CHECK_INT((uintptr_t)b % 16, 0);
    memset(b, 7, 5000);
    mf_arena_reset(&arena);
    fail_at(1);
    CHECK(mf_arena_alloc(&arena, 8) == NULL);
    fail_at(0);
    mf_arena_reset(&arena);
}

static void test_buf(void)
{
    struct mf_buf buf = {0};
    CHECK_INT(mf_buf_len(&buf), 0);
    for (int i = 0; i < 1000; i++) {
        CHECK_INT(mf_buf_put(&buf, MF_SLICE("0123456789")), 0);
        if (i % 3)
            mf_buf_consume(&buf, 5);
    }
    CHECK_INT(mf_buf_len(&buf), 10000 - 666 * 5);
    struct mf_slice all = mf_buf_peek(&buf);
    CHECK(all.ptr[all.len - 1] == '9');
    fail_at(1);
    CHECK(mf_buf_reserve(&buf, 1 << 20) == NULL);
    fail_at(0);
    CHECK_INT(mf_buf_len(&buf), 10000 - 666 * 5);
    mf_buf_dispose(&buf);
}

static void test_block(void)
{
    struct mf_block *block = mf_block_new(64, NULL);
    CHECK(!mf_block_shared(block));
    memset(block->data, 1, 64);
    block = mf_block_grow(block, 100000);
    CHECK_INT(block->data[63], 1);
    mf_block_take(block);
    CHECK(mf_block_shared(block));
    mf_block_give(block);
    mf_block_give(block);
    mf_block_give(NULL);
}

static void test_block_sizes(void)
{
    CHECK_INT(mf_block_size(1), 1); /* no size of ours below 64 KiB and above 15 MiB */
    CHECK_INT(mf_block_size(65535), 65535);
    CHECK_INT(mf_block_size(31 << 20), 31 << 20);
    CHECK_INT(mf_block_size(65536), 65536);
    CHECK_INT(mf_block_size(65537), 65536 + 8192);
    CHECK_INT(mf_block_size(15 << 13), 15 << 13);
    CHECK_INT(mf_block_size((15 << 13) + 1), 131072);
    size_t longest = 0;
    for (size_t cap = 65536; cap <= (15u << 20); cap += 4093) {
        size_t size = mf_block_size(cap);
        CHECK(size >= cap && size - cap <= cap / 8 && mf_block_size(size) == size);
        longest = size > longest ? size : longest;
    }
    CHECK_INT(longest, 15 << 20);
}

/* Long blocks come back, to those that need most of them; short ones and what is over the limit are freed. */
static void test_block_spares(void)
{
    struct mf_block_spares spares = {.max = 8 << 20};
    struct mf_block *one = mf_block_new(1 << 20, &spares), *small = mf_block_new(1000, &spares);
    CHECK(mf_block_lend(&spares, 1) == NULL);
    mf_block_take(one);
    mf_block_give(one);
    CHECK_INT(spares._kept, 0); /* still held */
    mf_block_give(one);
    mf_block_give(small);
    CHECK_INT(spares._kept, 1 << 20);
    CHECK(mf_block_lend(&spares, (1 << 20) + 1) == NULL);
    CHECK(mf_block_lend(&spares, 1 << 19) == NULL); /* half of it: too good */
    CHECK(mf_block_lend(&spares, (1 << 19) + 1) == one);
    CHECK(!mf_block_shared(one));
    CHECK_INT(spares._kept, 0);
    mf_block_filled(one);
    struct mf_block *many[20];
    for (int i = 0; i < 20; i++)
        many[i] = mf_block_new(1 << 20, &spares);
    for (int i = 0; i < 20; i++)
        mf_block_give(many[i]);
    mf_block_give(one);
    CHECK_INT(spares._kept, 8 << 20);
    CHECK_INT(spares.refused, 13);
    mf_block_spares_free(&spares);
    CHECK(mf_block_lend(&spares, 1 << 20) == NULL);
}

/* What is lent to announced lengths counts until their bytes have come: strangers who announce and send nothing never
 * hold more than the limit in all, however many blocks others give back meanwhile. */
static void test_block_lent(void)
{
    struct mf_block_spares spares = {.max = 4 << 20};
    struct mf_block *lent[4], *used;
    for (int i = 0; i < 4; i++) {
        mf_block_give(mf_block_new(1 << 20, &spares));
        CHECK((lent[i] = mf_block_lend(&spares, 1 << 20)) != NULL);
    }
    mf_block_give(mf_block_new(1 << 20, &spares));
    CHECK(mf_block_lend(&spares, 1 << 20) == NULL);
    mf_block_filled(lent[0]);
    mf_block_filled(lent[0]); /* twice is as once */
    CHECK_INT(spares._lent, 3 << 20);
    mf_block_give(lent[1]); /* its connection ended */
    CHECK_INT(spares._lent, 2 << 20);
    CHECK_INT(spares._kept, 1 << 20);
    CHECK((used = mf_block_grow(lent[2], 2 << 20)) != NULL); /* grown is new memory: only as bytes come */
    CHECK_INT(spares._lent, 1 << 20);
    mf_block_give(used);
    mf_block_give(lent[0]);
    mf_block_give(lent[3]);
    CHECK_INT(spares._lent, 0);
    CHECK_INT(spares._kept, 4 << 20);
    mf_block_spares_free(&spares);
}

/* A trim frees what was not needed since the last one. */
static void test_block_trim(void)
{
    struct mf_block_spares spares = {.max = 8 << 20};
    struct mf_block *some[4];
    for (int i = 0; i < 4; i++)
        some[i] = mf_block_new(1 << 20, &spares);
    for (int i = 0; i < 4; i++)
        mf_block_give(some[i]);
    mf_block_trim(&spares); /* they have only just come */
    CHECK_INT(spares._kept, 4 << 20);
    some[0] = mf_block_lend(&spares, 1 << 20);
    mf_block_give(some[0]);
    mf_block_trim(&spares); /* one was needed at a time */
    CHECK_INT(spares._kept, 1 << 20);
    mf_block_trim(&spares);
    CHECK_INT(spares._kept, 0);
}

static void test_list(void)
{
    struct mf_list list, other, nodes[4];
    mf_list_init(&list);
    mf_list_init(&other);
    CHECK(mf_list_empty(&list));
    for (int i = 0; i < 4; i++)
        mf_list_push(i < 2 ? &list : &other, &nodes[i]);
    mf_list_splice(&list, &other);
    CHECK(mf_list_empty(&other));
    mf_list_remove(&nodes[1]);
    mf_list_remove(&nodes[1]);
    CHECK(mf_list_shift(&list) == &nodes[0]);
    CHECK(mf_list_shift(&list) == &nodes[2]);
    CHECK(mf_list_shift(&list) == &nodes[3]);
    CHECK(mf_list_shift(&list) == NULL);
}

static void test_addr(void)
{
    struct {
        const char *text, *want;
    } good[] = {{"tcp://127.0.0.1:80", "127.0.0.1:80"},
                {"127.0.0.1:65535", "127.0.0.1:65535"},
                {"tcp://[::1]:20880", "[::1]:20880"},
                {"[::]:0", "[::]:0"},
                {"unix:///run/a.sock", "unix:///run/a.sock"},
                {"unix://@name", "unix://@name"}};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct mf_addr a, b;
        char text[MF_ADDR_TEXT];
        CHECK_INT(mf_addr_parse(mf_slice_str(good[i].text), &a), 0);
        size_t len = mf_addr_format(&a, text);
        CHECK_STR(mf_slice_of(text, len), good[i].want);
        CHECK_INT(mf_addr_parse(mf_slice_str(text), &b), 0);
        CHECK(mf_addr_eq(&a, &b));
    }
    const char *bad[] = {"", "tcp://", "host:80", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:-1", "1.2.3:4",
                         "::1:80", "[::1]", "[::1:80", "unix://", "http://1.2.3.4:80", "127.0.0.1:8x", "127.0.0.1: 8"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct mf_addr a;
        CHECK_INT(mf_addr_parse(mf_slice_str(bad[i]), &a), MF_EADDR);
    }
    char path[200] = "unix:///";
    memset(path + 8, 'a', sizeof path - 9);
    path[sizeof path - 1] = 0;
    struct mf_addr a;
    CHECK_INT(mf_addr_parse(mf_slice_str(path), &a), MF_EADDR);
}

static void test_ring(void)
{
    struct mf_ring ring;
    CHECK_INT(mf_ring_init(&ring, sizeof(int), 5), 0);
    int n = 0, out;
    for (int i = 0; i < 8; i++)
        CHECK_INT(mf_ring_push(&ring, &i), 0);
    CHECK_INT(mf_ring_push(&ring, &n), MF_ERING_FULL);
    for (int i = 0; i < 8; i++) {
        CHECK_INT(mf_ring_pop(&ring, &out), 1);
        CHECK_INT(out, i);
    }
    CHECK_INT(mf_ring_pop(&ring, &out), 0);
    for (int i = 0; i < 1000; i++) {
        CHECK_INT(mf_ring_push(&ring, &i), 0);
        CHECK_INT(mf_ring_pop(&ring, &out), 1);
        CHECK_INT(out, i);
    }
    mf_ring_dispose(&ring);
    fail_at(1);
    CHECK_INT(mf_ring_init(&ring, 8, 8), -ENOMEM);
    fail_at(0);
}

int main(void)
{
    test_errors();
    test_arena();
    test_buf();
    test_block();
    test_block_sizes();
    test_block_spares();
    test_block_lent();
    test_block_trim();
    test_list();
    test_addr();
    test_ring();
    return test_end("base");
}
