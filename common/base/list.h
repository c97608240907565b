// SPDX-License-Identifier: GPL-3.0-or-later
//
// Intrusive doubly linked list. A node that is in no list points to itself.
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct list {
    struct list *next; // itself when empty or unlinked
    struct list *prev; // itself when empty or unlinked
};

static inline void list_init(struct list *list)
{
    list->next = list;
    list->prev = list;
}

static inline bool list_is_empty(const struct list *list)
{
    return list->next == list;
}

static inline void list_append(struct list *list, struct list *node)
{
    node->prev = list->prev;
    node->next = list;
    list->prev->next = node;
    list->prev = node;
}

// Unlinks; safe on an unlinked node.
static inline void list_remove(struct list *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    list_init(node);
}

// First node, or NULL when empty.
static inline struct list *list_first(const struct list *list)
{
    return list->next == list ? NULL : list->next;
}

#define list_entry(node, type, member) ((type *)(void *)((char *)(node)-offsetof(type, member)))
// The parameter must not be called `list`: it would replace the struct's name, too.
#define list_each(node, head)                                                                      \
    for (struct list *node = (head)->next; node != (head); node = node->next)
// The current node may be removed in the body.
#define list_each_safe(node, following, head)                                                      \
    for (struct list *node = (head)->next, *following = node->next; node != (head);                \
         node = following, following = node->next)
