#pragma once
/* h2_judge: what callers (h2_serve.h) have in the end. */
#include "h2_serve.h"

/* What a caller has of its calls: each its own answer, once, or an end that says that it is none. */
__attribute__((unused)) static void serve_judge(struct peer *peer)
{
    bool there = peer->conn->sock && !peer->conn->fin;
    hear(peer);
    for (int k = 0; k < peer->n_told; k++) {
        struct told *told = &peer->told[k];
        fake_add(&told->text, "", 1);
        const char *text = (const char *)told->text.ptr, *of = strstr(text, "x-of=");
        size_t len = strlen(told->path);
        int number = number_of(told->path);
        if (!*told->path && !serve.wild)
            BROKEN("an answer to nothing: %s", text);
        if (!*told->path || serve.tainted[number])
            continue;
        if (of && (strncmp(of + 5, told->path, len) != 0 || (of[5 + len] != '>' && of[5 + len] != ' ')))
            BROKEN("%s was answered to %s", of, told->path);
        if (of && strstr(of + 5, "x-of="))
            BROKEN("%s was answered twice: %s", told->path, text);
        if (there && !told->ended && !told->reset && !told->dropped && told->path[5] != 's')
            BROKEN("%s was not answered: %s (%zu sent, %zu due, credit %llu)", told->path, text, told->sent, told->due, (unsigned long long)told->credit);
        bool good = of && told->ended && strstr(text, "grpc-status=0");
        if (!serve.failing && told->path[5] != 's' && !told->dropped && !good)
            BROKEN("%s got %s", told->path, text);
        if (good && told->path[5] == 'b' && told->content != BIG_ANSWER)
            BROKEN("%s got %zu bytes", told->path, told->content);
        if (of && told->content && (told->mixed || told->byte != serve_byte(number)))
            BROKEN("%s got another's content", told->path);
        if (serve.asked[number] > 1 && !serve.lied)
            BROKEN("%s was executed %d times", told->path, serve.asked[number]);
    }
}
