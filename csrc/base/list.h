#pragma once
/* list: an intrusive doubly linked ring. A node not on any list points at itself. */
#include <stdbool.h>
#include <stddef.h>

struct mf_list {
    struct mf_list *prev, *next;
};

#define MF_CONTAINER(ptr, type, member) ((type *)(void *)((char *)(ptr) - offsetof(type, member)))

/* inline */

static inline void mf_list_init(struct mf_list *list)
{
    list->prev = list->next = list;
}

static inline bool mf_list_empty(const struct mf_list *list)
{
    return list->next == list;
}

/* Puts `node` last on `list`. */
static inline void mf_list_push(struct mf_list *list, struct mf_list *node)
{
    node->prev = list->prev;
    node->next = list;
    list->prev->next = node;
    list->prev = node;
}

/* Puts `node` first. */
static inline void mf_list_unshift(struct mf_list *list, struct mf_list *node)
{
    mf_list_push(list->next, node);
}

/* Takes `node` off whatever list it is on; harmless on none. */
static inline void mf_list_remove(struct mf_list *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    mf_list_init(node);
}

/* The first node, taken off, or NULL. */
static inline struct mf_list *mf_list_shift(struct mf_list *list)
{
    struct mf_list *node = list->next;
    if (node == list)
        return NULL;
    mf_list_remove(node);
    return node;
}

/* Moves all of `from` to the end of `to`; `from` is empty afterwards. */
static inline void mf_list_splice(struct mf_list *to, struct mf_list *from)
{
    if (mf_list_empty(from))
        return;
    from->next->prev = to->prev;
    to->prev->next = from->next;
    from->prev->next = to;
    to->prev = from->prev;
    mf_list_init(from);
}
