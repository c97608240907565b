// SPDX-License-Identifier: GPL-3.0-or-later
#include <stdio.h>
#include <string.h>

#include "api/admin_internal.h"
#include "base/alloc.h"

char *admin_full_identity(const struct admin_api *api, const char *text)
{
    if (strncmp(text, "ns/", 3) != 0) {
        return rm_strdup(text);
    }
    const char *trust_domain = api->options.trust_domain;
    size_t length = strlen("spiffe:///") + strlen(trust_domain) + strlen(text) + 1;
    char *full = rm_malloc(length);
    if (full != NULL) {
        snprintf(full, length, "spiffe://%s/%s", trust_domain, text);
    }
    return full;
}

static size_t strings_find(const struct record_strings *strings, const char *text)
{
    size_t at = 0;
    while (at < strings->count && strcmp(strings->items[at], text) != 0) {
        at++;
    }
    return at;
}

bool admin_strings_have(const struct record_strings *strings, const char *text)
{
    return strings_find(strings, text) < strings->count;
}

enum rm_err admin_strings_add(struct record_strings *strings, const char *text)
{
    if (admin_strings_have(strings, text)) {
        return RM_OK;
    }
    char *copy = rm_strdup(text);
    char **grown = rm_realloc(strings->items, (strings->count + 1) * sizeof *grown);
    if (grown != NULL) {
        strings->items = grown;
    }
    if (copy == NULL || grown == NULL) {
        rm_free(copy);
        return RM_ERR_NO_MEMORY;
    }
    grown[strings->count++] = copy;
    return RM_OK;
}

bool admin_strings_remove(struct record_strings *strings, const char *text)
{
    size_t at = strings_find(strings, text);
    if (at == strings->count) {
        return false;
    }
    rm_free(strings->items[at]);
    strings->count--;
    memmove(&strings->items[at], &strings->items[at + 1],
            (strings->count - at) * sizeof *strings->items);
    return true;
}
