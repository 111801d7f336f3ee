#include "codec/h2_grpc.h"

enum { DIGITS_MOST = 8, MS_DIGITS_MOST = 18 };

static const struct unit {
    uint8_t name;
    uint64_t ns;
} units[] = {
    {'n', 1},
    {'u', 1000},
    {'m', 1000000},
    {'S', 1000000000},
    {'M', UINT64_C(60000000000)},
    {'H', UINT64_C(3600000000000)},
};
enum { UNITS = sizeof units / sizeof *units };

/* MF_H2_NO_TIMEOUT: not 1 to `most` digits, of which 18 always fit. */
static int64_t number(const uint8_t *p, size_t n, size_t most)
{
    int64_t sum = 0;
    if (n == 0 || n > most)
        return MF_H2_NO_TIMEOUT;
    for (size_t i = 0; i < n; i++) {
        if (p[i] < '0' || p[i] > '9')
            return MF_H2_NO_TIMEOUT;
        sum = sum * 10 + (p[i] - '0');
    }
    return sum;
}

static size_t put_number(uint8_t *to, uint64_t n)
{
    uint8_t digits[20];
    size_t at = sizeof digits;
    do {
        digits[--at] = (uint8_t)('0' + n % 10);
        n /= 10;
    } while (n);
    memcpy(to, digits + at, sizeof digits - at);
    return sizeof digits - at;
}

int64_t mf_h2_grpc_timeout_read(struct mf_slice text)
{
    if (text.len < 2)
        return MF_H2_NO_TIMEOUT;
    int64_t n = number(text.ptr, text.len - 1, DIGITS_MOST), ns;
    for (int i = 0; n >= 0 && i < UNITS; i++)
        if (units[i].name == text.ptr[text.len - 1])
            return __builtin_mul_overflow(n, (int64_t)units[i].ns, &ns) ? INT64_MAX : ns;
    return MF_H2_NO_TIMEOUT;
}

size_t mf_h2_grpc_timeout_put(uint8_t *to, uint64_t ns)
{
    const struct unit *unit = units;
    if (ns == 0)
        ns = 1;
    while (ns / unit->ns > 99999999) /* hours always suffice */
        unit++;
    size_t n = put_number(to, ns / unit->ns);
    to[n] = unit->name;
    return n + 1;
}

int64_t mf_h2_grpc_ms_read(struct mf_slice text)
{
    int64_t ms = number(text.ptr, text.len, MS_DIGITS_MOST), ns;
    if (ms < 0)
        return MF_H2_NO_TIMEOUT;
    return __builtin_mul_overflow(ms, INT64_C(1000000), &ns) ? INT64_MAX : ns;
}

size_t mf_h2_grpc_ms_put(uint8_t *to, uint64_t ns)
{
    return put_number(to, ns < 2000000 ? 1 : ns / 1000000);
}

size_t mf_h2_grpc_message_put(uint8_t *to, size_t room, struct mf_slice text)
{
    static const char hex[] = "0123456789ABCDEF";
    size_t n = 0, whole = 0; /* written; of that, whole characters */
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.ptr[i];
        bool end = i == 0 || i + 1 == text.len;
        bool escape = c < 0x20 || c > 0x7e || c == '%' || c == '+' || (c == ' ' && end);
        if ((c & 0xc0) != 0x80)
            whole = n;
        if (room - n < (escape ? 3 : 1)) {
            n = whole;
            break;
        }
        if (escape) {
            to[n++] = '%';
            to[n++] = (uint8_t)hex[c >> 4];
            to[n++] = (uint8_t)hex[c & 15];
        } else {
            to[n++] = c;
        }
    }
    while (n && to[n - 1] == ' ') /* where it was cut */
        n--;
    return n;
}
