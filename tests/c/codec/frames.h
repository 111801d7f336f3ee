#pragma once
/* frames: reads tests/wire/dubbo.txt line by line. */
#include "test.h"

struct frame {
    char name[64];
    uint8_t bytes[8192];
    size_t len;
    char expect[2048];
};

static size_t unhex(const char *hex, uint8_t *to, size_t room)
{
    size_t n = 0;
    unsigned byte;
    for (; n < room && sscanf(hex + 2 * n, "%2x", &byte) == 1 && hex[2 * n] > ' '; n++)
        to[n] = (uint8_t)byte;
    return n;
}

/* The value of `key`, NUL-terminated in static storage; NULL when it is not there. */
__attribute__((unused)) static const char *expected(const struct frame *frame, const char *key)
{
    static char value[2048];
    size_t n = strlen(key);
    for (const char *p = frame->expect; *p; p += strcspn(p, " "), p += strspn(p, " ")) {
        if (strncmp(p, key, n) == 0 && p[n] == '=') {
            snprintf(value, sizeof(value), "%.*s", (int)strcspn(p + n + 1, " "), p + n + 1);
            return value;
        }
    }
    return NULL;
}

/* Calls `each` for every frame: how many there were. */
static int for_frames(void (*each)(const struct frame *))
{
    static char line[20000];
    static struct frame frame;
    int n = 0;
    FILE *file = fopen("tests/wire/dubbo.txt", "r");
    if (!file) {
        fprintf(stderr, "run from the project's root: tests/wire/dubbo.txt is not there\n");
        exit(1);
    }
    while (fgets(line, sizeof(line), file)) {
        line[strcspn(line, "\n")] = 0;
        if (line[0] == '#')
            continue;
        char *hex = line + strcspn(line, " ");
        *hex++ = 0;
        char *expect = hex + strcspn(hex, " ");
        if (*expect)
            *expect++ = 0;
        snprintf(frame.name, sizeof(frame.name), "%.63s", line);
        frame.len = unhex(hex, frame.bytes, sizeof(frame.bytes));
        snprintf(frame.expect, sizeof(frame.expect), "%.2047s", expect);
        int before = test_failures;
        each(&frame);
        if (test_failures != before)
            fprintf(stderr, "  in frame %s\n", frame.name);
        n++;
    }
    fclose(file);
    return n;
}
