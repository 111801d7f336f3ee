/* replay: gives a fuzz target each input of the files named, one line of hex each, so that what was found once stays fixed
 * where there is no libFuzzer. */
#include <ctype.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static int digit(int c)
{
    return isdigit(c) ? c - '0' : isxdigit(c) ? tolower(c) - 'a' + 10 : -1;
}

static int replay(const char *path)
{
    static char line[1 << 17];
    FILE *file = fopen(path, "r");
    int n = 0;
    if (!file) {
        fprintf(stderr, "%s cannot be read; run from the project's root\n", path);
        exit(2);
    }
    while (fgets(line, sizeof line, file)) {
        size_t len = 0;
        if (!strchr(line, '\n')) {
            fprintf(stderr, "%s has a line that is too long\n", path);
            exit(2);
        }
        if (line[0] == '#')
            continue;
        uint8_t *input = malloc(strlen(line)); /* its own, so that a read past its end is seen */
        for (const char *p = line; digit(p[0]) >= 0 && digit(p[1]) >= 0; p += 2)
            input[len++] = (uint8_t)(digit(p[0]) << 4 | digit(p[1]));
        input = realloc(input, len ? len : 1);
        LLVMFuzzerTestOneInput(input, len);
        free(input);
        n++;
    }
    fclose(file);
    return n;
}

int main(int argc, char **argv)
{
    int n = 0;
    for (int i = 1; i < argc; i++)
        n += replay(argv[i]);
    printf("%-24s %d inputs replayed\n", argc > 1 ? argv[1] : "", n);
    return n == 0; /* no inputs test nothing */
}
