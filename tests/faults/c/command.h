#pragma once
/* command: lines on stdin tell a running program what to do; each is answered by one line on stdout. */
#include "net.h"

#include <stdbool.h>

enum { COMMAND_ROOM = 256 };

struct commands {
    char line[COMMAND_ROOM];
    size_t len;
};

__attribute__((format(printf, 1, 2))) static inline void reply(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    putchar('\n');
    fflush(stdout);
}

/* Call when stdin is readable: `obey` gets each whole line. False at the end of input: nobody is left to obey. */
static inline bool commands_read(struct commands *commands, void (*obey)(char *line))
{
    ssize_t n = read(STDIN_FILENO, commands->line + commands->len, COMMAND_ROOM - commands->len);
    if (n <= 0)
        return n < 0 && (errno == EAGAIN || errno == EINTR);
    commands->len += (size_t)n;
    char *end;
    while ((end = memchr(commands->line, '\n', commands->len))) {
        char line[COMMAND_ROOM];
        size_t len = (size_t)(end - commands->line);
        memcpy(line, commands->line, len);
        line[len] = 0;
        commands->len -= len + 1;
        memmove(commands->line, end + 1, commands->len);
        obey(line);
    }
    if (commands->len == COMMAND_ROOM)
        die(EXIT_USAGE, "a command is longer than %d bytes", COMMAND_ROOM);
    return true;
}
