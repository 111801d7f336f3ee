#pragma once
/* frames: reads the golden frames of tests/wire line by line; tests/py reads the same lines (wire.py). */
#include "test.h"

#include <glob.h>

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

/* Calls `each` for every frame of one file: how many there were. */
static int for_frames_of(const char *path, void (*each)(const struct frame *))
{
    static char line[20000];
    static struct frame frame;
    int n = 0;
    FILE *file = fopen(path, "r");
    if (!file) {
        fprintf(stderr, "%s cannot be read\n", path);
        exit(1);
    }
    while (fgets(line, sizeof(line), file)) {
        char *end = strchr(line, '\n');
        CHECK(end != NULL); /* else a line is longer than there is room */
        if (line[0] == '#' || !end)
            continue;
        *end = 0;
        char *hex = line + strcspn(line, " ");
        *hex++ = 0;
        char *expect = hex + strcspn(hex, " ");
        CHECK(*expect == ' '); /* a frame of which nothing is expected tests nothing */
        CHECK((size_t)(expect - hex) <= 2 * sizeof(frame.bytes));
        if (*expect)
            *expect++ = 0;
        snprintf(frame.name, sizeof(frame.name), "%.63s", line);
        frame.len = unhex(hex, frame.bytes, sizeof(frame.bytes));
        snprintf(frame.expect, sizeof(frame.expect), "%.2047s", expect);
        int before = test_failures;
        each(&frame);
        if (test_failures != before)
            fprintf(stderr, "  in frame %s of %s\n", frame.name, path);
        n++;
    }
    fclose(file);
    return n;
}

/* The same for every file. */
static int for_frames(void (*each)(const struct frame *))
{
    glob_t found = {0};
    int n = 0;
    if (glob("tests/wire/*.txt", 0, NULL, &found) != 0) {
        fprintf(stderr, "run from the project's root: there is no tests/wire/*.txt\n");
        exit(1);
    }
    for (size_t i = 0; i < found.gl_pathc; i++)
        n += for_frames_of(found.gl_pathv[i], each);
    globfree(&found);
    return n;
}
