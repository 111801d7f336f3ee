/* maglev: everybody gets the same table, shares are the weights', and what changes hands when a member goes. */
#include "table/maglev.h"
#include "test.h"

enum { MOST = 5000 };
static char names[MOST + 1][24];
static struct mf_maglev_member members[MOST + 1];

static void set_up(uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        snprintf(names[i], sizeof names[i], "10.0.%u.%u:20880", i / 250, i % 250 + 1);
        members[i] = (struct mf_maglev_member){mf_slice_str(names[i]), 1};
    }
}

static uint32_t count(const struct mf_maglev *maglev, uint32_t index)
{
    uint32_t n = 0;
    for (uint32_t place = 0; place < maglev->size; place++)
        n += mf_maglev_at(maglev, place) == index;
    return n;
}

static void equal_weights_have_equal_shares(void)
{
    static const uint32_t ns[] = {1, 2, 3, 10, 128, 129, 256, 257, 1000};
    for (size_t k = 0; k < sizeof ns / sizeof *ns; k++) {
        uint32_t n = ns[k], size = mf_maglev_size(n);
        set_up(n);
        struct mf_maglev *maglev = mf_maglev_new(members, n, size);
        for (uint32_t i = 0; i < n; i++) {
            uint32_t places = count(maglev, i);
            CHECK(places == size / n || places == size / n + 1);
        }
        CHECK(mf_maglev_bytes(maglev) <= 64 * 1024);
        mf_maglev_free(maglev);
    }
}

static void unequal_ones_have_shares_by_weight(void)
{
    set_up(2);
    members[1].weight = 3;
    struct mf_maglev *maglev = mf_maglev_new(members, 2, 65537);
    CHECK_INT((count(maglev, 0) * 100 + 32768) / 65537, 25);
    mf_maglev_free(maglev);
    members[1].weight = 65535;
    maglev = mf_maglev_new(members, 2, 65537);
    CHECK(count(maglev, 0) == 1 || count(maglev, 0) == 2);
    mf_maglev_free(maglev);
}

/* The order in which instances are listed is nobody's but the list's. */
static void order_does_not_matter(void)
{
    set_up(10);
    struct mf_maglev *one = mf_maglev_new(members, 10, MF_MAGLEV_SMALL);
    struct mf_maglev_member turned[10];
    for (uint32_t i = 0; i < 10; i++)
        turned[i] = members[9 - i];
    struct mf_maglev *other = mf_maglev_new(turned, 10, MF_MAGLEV_SMALL);
    int differ = 0;
    for (uint32_t place = 0; place < MF_MAGLEV_SMALL; place++)
        differ += mf_maglev_at(one, place) != 9 - mf_maglev_at(other, place);
    CHECK_INT(differ, 0);
    mf_maglev_free(one);
    mf_maglev_free(other);
}

/* How many places of others change hands, in thousandths of the table, when the one in the middle goes. */
static int disturbed(uint32_t n, uint32_t size)
{
    set_up(n);
    struct mf_maglev *before = mf_maglev_new(members, n, size);
    uint32_t gone = n / 2, moved = 0;
    memmove(&members[gone], &members[gone + 1], (n - gone - 1) * sizeof *members);
    struct mf_maglev *after = mf_maglev_new(members, n - 1, size);
    for (uint32_t place = 0; place < size; place++) {
        uint32_t was = mf_maglev_at(before, place), is = mf_maglev_at(after, place);
        moved += was != gone && is != (was > gone ? was - 1 : was);
    }
    mf_maglev_free(before);
    mf_maglev_free(after);
    return (int)(moved * 1000 / size);
}

static void few_keys_move_when_a_member_goes(void)
{
    static const struct { uint32_t n; int most; } rows[] = {{3, 5}, {10, 15}, {100, 35}, {1000, 10}};
    for (size_t k = 0; k < sizeof rows / sizeof *rows; k++) {
        int moved = disturbed(rows[k].n, mf_maglev_size(rows[k].n));
        printf("%u members: %d in 1000 places of others change hands\n", rows[k].n, moved);
        CHECK(moved <= rows[k].most);
    }
}

/* A place each turn for the heaviest, for the others as often as their weight is of its: as it is defined, turn by turn. */
static uint32_t differs(uint32_t n, uint32_t size)
{
    struct mf_maglev *maglev = mf_maglev_new(members, n, size);
    uint32_t order[MOST + 1], at[MOST + 1], skip[MOST + 1], most = 0, left = size, wrong = 0;
    uint64_t due[MOST + 1] = {0};
    uint8_t *taken = calloc(size, 1);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t k = i;
        for (; k > 0 && strcmp(names[order[k - 1]], names[i]) > 0; k--)
            order[k] = order[k - 1];
        order[k] = i;
        at[i] = (uint32_t)(mf_hash(members[i].name, 0) % size);
        skip[i] = (uint32_t)(mf_hash(members[i].name, 1) % (size - 1)) + 1;
        most = members[i].weight > most ? members[i].weight : most;
    }
    for (uint64_t turn = 1; left; turn++) {
        for (uint32_t k = 0; k < n && left; k++) {
            uint32_t i = order[k];
            if (turn * members[i].weight < due[i])
                continue;
            while (taken[at[i]])
                at[i] = (at[i] + skip[i]) % size;
            taken[at[i]] = 1;
            wrong += mf_maglev_at(maglev, at[i]) != i;
            due[i] += most;
            left--;
        }
    }
    free(taken);
    mf_maglev_free(maglev);
    return wrong;
}

static void whose_turn_it_is(void)
{
    static const uint32_t heavies[] = {1, 3, 17, 100, 65535};
    for (size_t k = 0; k < sizeof heavies / sizeof *heavies; k++) {
        set_up(300);
        members[7].weight = heavies[k];
        CHECK_INT(differs(300, 4093), 0);
        for (uint32_t i = 0; i < 300; i++)
            members[i].weight = 1 + i * i * i % heavies[k];
        CHECK_INT(differs(300, 4093), 0);
    }
}

/* In so many places that to ask each of them each turn would be 10^9 questions. */
static void one_heavy_among_thousands(void)
{
    set_up(MOST + 1);
    members[7].weight = 65535;
    uint32_t size = mf_maglev_size(MOST + 1);
    struct mf_maglev *maglev = mf_maglev_new(members, MOST + 1, size);
    uint32_t heavy = count(maglev, 7);
    CHECK(heavy > size / 100 * 92 && heavy < size / 100 * 93); /* 65535 of 70535 */
    CHECK(count(maglev, 8) >= 3 && count(maglev, 8) <= 5);
    mf_maglev_free(maglev);
}

static void no_memory(void)
{
    set_up(30);
    members[0].weight = 100;
    struct mf_maglev *maglev = NULL;
    for (long n = 1; !maglev; n++) {
        fail_at(n);
        maglev = mf_maglev_new(members, 30, 101);
        CHECK(maglev || fail_live == 0);
    }
    mf_maglev_free(maglev);
    CHECK_INT(fail_live, 0);
    fail_at(0);
}

int main(void)
{
    equal_weights_have_equal_shares();
    unequal_ones_have_shares_by_weight();
    order_does_not_matter();
    few_keys_move_when_a_member_goes();
    whose_turn_it_is();
    one_heavy_among_thousands();
    no_memory();
    return test_end("table/maglev");
}
