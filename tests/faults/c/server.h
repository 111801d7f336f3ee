#pragma once
/* server: the loop of a program that listens, and is told what to do by commands. */
#include "command.h"

struct server_ops {
    int (*wait)(void);                          /* does what is due; milliseconds until more is, -1: nothing */
    void (*accept)(void);
    void (*event)(void *what, uint32_t events); /* of what the program watches */
    void (*obey)(char *line);
    void (*after)(void);                        /* each turn */
};

static struct {
    int epoll, listener; /* -1: none now */
    bool over;
    struct commands commands;
} serving = {.listener = -1};

static inline void server_watch_listener(void)
{
    net_watch(serving.epoll, EPOLL_CTL_ADD, serving.listener, EPOLLIN, &serving.listener);
}

static inline void server_begin(void)
{
    serving.epoll = epoll_create1(EPOLL_CLOEXEC);
    net_nonblocking(STDIN_FILENO);
    net_watch(serving.epoll, EPOLL_CTL_ADD, STDIN_FILENO, EPOLLIN, &serving.commands);
}

/* Until there are no more commands. */
static inline void server_run(const struct server_ops *ops)
{
    while (!serving.over) {
        struct epoll_event events[256];
        int n = epoll_wait(serving.epoll, events, 256, ops->wait());
        for (int i = 0; i < n; i++) {
            void *what = events[i].data.ptr;
            if (what == &serving.listener)
                ops->accept();
            else if (what == &serving.commands)
                serving.over = !commands_read(&serving.commands, ops->obey);
            else
                ops->event(what, events[i].events);
        }
        ops->after();
    }
}
