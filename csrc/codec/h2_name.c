#include "codec/h2_name.h"

struct known {
    const char *text, *coded;
    uint8_t len, coded_len, hop, changes, secret;
};

static const struct known names[] = {
    {"", "", 0, 0, 0, 0, 0},
#define X(number, text, coded, index, hop, changes, secret)                                                            \
    {text, coded, sizeof(text) - 1, sizeof(coded) - 1, hop, changes, secret},
    MF_H2_NAME_LIST(X)
#undef X
};
static const uint8_t slots[512] = {MF_H2_NAME_SLOTS}, coded_slots[512] = {MF_H2_CODED_SLOTS};

/* 1: in a token; 2: an upper-case letter, in a token too. */
static const uint8_t kinds[256] = {
    ['!'] = 1, ['#'] = 1, ['$'] = 1, ['%'] = 1, ['&'] = 1, ['\''] = 1, ['*'] = 1, ['+'] = 1, ['-'] = 1, ['.'] = 1,
    ['^'] = 1, ['_'] = 1, ['`'] = 1, ['|'] = 1, ['~'] = 1, ['0' ... '9'] = 1, ['a' ... 'z'] = 1, ['A' ... 'Z'] = 2,
};

/* The generator has the same. */
static uint32_t slot(const uint8_t *p, size_t n, uint32_t factor)
{
    uint32_t key = p[0] | (uint32_t)p[n / 2] << 8 | (uint32_t)p[n > 1 ? n - 2 : 0] << 16
                   | (uint32_t)(uint8_t)(n + p[n - 1] * 5u) << 24;
    return key * factor >> 23;
}

/* As memcmp of a few bytes, without the call. */
static bool same(const uint8_t *a, const char *b, size_t n)
{
    uint64_t x, y, differ = 0;
    size_t i = 0;
    if (n < 8) {
        for (; i < n; i++)
            differ |= a[i] ^ (uint8_t)b[i];
        return differ == 0;
    }
    for (; i + 8 < n; i += 8) {
        memcpy(&x, a + i, 8);
        memcpy(&y, b + i, 8);
        differ |= x ^ y;
    }
    memcpy(&x, a + n - 8, 8);
    memcpy(&y, b + n - 8, 8);
    return (differ | (x ^ y)) == 0;
}

enum mf_h2_name mf_h2_name_of(struct mf_slice name)
{
    if (name.len == 0)
        return MF_H2_NAME_OTHER;
    uint8_t found = slots[slot(name.ptr, name.len, MF_H2_NAME_FACTOR)];
    bool is = names[found].len == name.len && same(name.ptr, names[found].text, name.len);
    return is ? (enum mf_h2_name)found : MF_H2_NAME_OTHER;
}

enum mf_h2_name mf_h2_name_of_coded(struct mf_slice code)
{
    if (code.len == 0)
        return MF_H2_NAME_OTHER;
    uint8_t found = coded_slots[slot(code.ptr, code.len, MF_H2_CODED_FACTOR)];
    bool is = names[found].coded_len == code.len && same(code.ptr, names[found].coded, code.len);
    return is ? (enum mf_h2_name)found : MF_H2_NAME_OTHER;
}

struct mf_slice mf_h2_name_text(enum mf_h2_name name)
{
    return mf_slice_of(names[name].text, names[name].len);
}

struct mf_h2_mark mf_h2_mark_of(struct mf_pair field)
{
    struct mf_h2_mark mark = {(uint8_t)mf_h2_name_of(field.key), 0};
    if (names[mark.name].changes)
        mark.flags |= MF_H2_MARK_PLAIN;
    if (names[mark.name].secret || (mark.name == MF_H2_NAME_COOKIE && field.value.len < 20))
        mark.flags |= MF_H2_MARK_NEVER; /* RFC 7541 7.1.3: short enough to be guessed */
    return mark;
}

struct mf_h2_mark mf_h2_mark_judge(struct mf_pair field, struct mf_h2_mark known)
{
    if (!known.name && !(known.name = (uint8_t)mf_h2_name_of(field.key)) && !mf_h2_name_good(field.key))
        known.flags |= MF_H2_MARK_BAD_NAME; /* all names of the list are good */
    if (!mf_h2_value_good(field.value))
        known.flags |= MF_H2_MARK_BAD_VALUE;
    return known;
}

bool mf_h2_name_good(struct mf_slice name)
{
    size_t i = name.len && name.ptr[0] == ':';
    if (i == name.len)
        return false;
    for (; i < name.len; i++)
        if (kinds[name.ptr[i]] != 1)
            return false;
    return true;
}

bool mf_h2_name_token(uint8_t c)
{
    return kinds[c] != 0;
}

/* Not 0 where a byte of `word` is below 0x20 or is 0x7f. */
static uint64_t control(uint64_t word)
{
    const uint64_t ones = UINT64_MAX / 255;
    uint64_t delete = word ^ ones * 0x7f;
    return (((word - ones * 0x20) & ~word) | ((delete - ones) & ~delete)) & ones * 0x80;
}

static bool clean(const uint8_t *p, size_t n)
{
    uint64_t word, found = 0;
    uint32_t half[2];
    if (n >= 8) {
        for (size_t i = 0; i + 8 < n; i += 8) {
            memcpy(&word, p + i, 8);
            found |= control(word);
        }
        memcpy(&word, p + n - 8, 8);
        return !(found | control(word));
    }
    if (n >= 4) {
        memcpy(half, p, 4);
        memcpy(half + 1, p + n - 4, 4);
        return !control((uint64_t)half[0] << 32 | half[1]);
    }
    for (size_t i = 0; i < n; i++)
        if (p[i] < 0x20 || p[i] == 0x7f)
            return false;
    return true;
}

bool mf_h2_value_good(struct mf_slice value)
{
    if (value.len == 0)
        return true;
    if (!mf_h2_value_trim(value))
        return false;
    if (clean(value.ptr, value.len))
        return true;
    for (size_t i = 0; i < value.len; i++)
        if ((value.ptr[i] < 0x20 && value.ptr[i] != '\t') || value.ptr[i] == 0x7f)
            return false;
    return true;
}
