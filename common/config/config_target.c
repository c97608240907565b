// SPDX-License-Identifier: GPL-3.0-or-later
#include <string.h>

#include "base/alloc.h"
#include "config/config_internal.h"

void *config_target_at(const struct config_field *field, void *target)
{
    return (uint8_t *)target + field->offset;
}

void config_target_set_place(const struct config_field *field, void *target,
                             struct config_place place)
{
    if (field->place_offset != 0) {
        memcpy((uint8_t *)target + field->place_offset, &place, sizeof(place));
    }
}

enum rm_err config_target_set_default(const struct config_field *field, void *target,
                                      struct rm_error *error)
{
    if (field->type == CONFIG_SECTION) {
        void *inside = config_target_at(field, target);
        for (const struct config_field *inner = field->fields; inner->key != NULL; inner++) {
            RM_TRY(config_target_set_default(inner, inside, error));
        }
        return RM_OK;
    }
    if (field->initial == NULL) {
        return RM_OK;
    }
    const struct config_scalar scalar = {.text = field->initial, .is_plain = true};
    return config_value_set(field, target, &scalar, error);
}

// Makes room for one more of `count` items of `item_bytes`, zeroed.
static enum rm_err target_grow(void **items, size_t count, size_t item_bytes, size_t *capacity)
{
    if (count == *capacity) {
        size_t more = *capacity > 0 ? *capacity * 2 : 4;
        void *grown = rm_realloc(*items, more * item_bytes);
        if (grown == NULL) {
            return RM_ERR_NO_MEMORY;
        }
        *items = grown;
        *capacity = more;
    }
    memset((uint8_t *)*items + count * item_bytes, 0, item_bytes);
    return RM_OK;
}

enum rm_err config_target_add_item(const struct config_field *field, void *target, size_t *capacity,
                                   void **item)
{
    struct config_list *list = config_target_at(field, target);
    if (list->count >= CONFIG_MAX_ITEMS) {
        return RM_ERR_TOO_LARGE;
    }
    RM_TRY(target_grow(&list->items, list->count, field->item_bytes, capacity));
    *item = (uint8_t *)list->items + list->count * field->item_bytes;
    list->count++;
    return RM_OK;
}

enum rm_err config_target_add_string(const struct config_field *field, void *target,
                                     size_t *capacity, const char *text)
{
    struct config_strings *strings = config_target_at(field, target);
    if (strings->count >= CONFIG_MAX_ITEMS) {
        return RM_ERR_TOO_LARGE;
    }
    void *items = strings->items;
    enum rm_err result = target_grow(&items, strings->count, sizeof(char *), capacity);
    strings->items = items;
    RM_TRY(result);
    strings->items[strings->count] = rm_strdup(text);
    if (strings->items[strings->count] == NULL) {
        return RM_ERR_NO_MEMORY;
    }
    strings->count++;
    return RM_OK;
}

static void target_free_list(const struct config_field *field, struct config_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        config_free(field->fields, (uint8_t *)list->items + i * field->item_bytes);
    }
    rm_free(list->items);
    *list = (struct config_list){0};
}

static void target_free_strings(struct config_strings *strings)
{
    for (size_t i = 0; i < strings->count; i++) {
        rm_free(strings->items[i]);
    }
    rm_free(strings->items);
    *strings = (struct config_strings){0};
}

static void target_free_string(char **string)
{
    rm_free(*string);
    *string = NULL;
}

void config_free(const struct config_field *fields, void *target)
{
    for (const struct config_field *field = fields; field->key != NULL; field++) {
        void *value = config_target_at(field, target);
        switch (field->type) {
        case CONFIG_STRING:
            target_free_string(value);
            break;
        case CONFIG_STRINGS:
            target_free_strings(value);
            break;
        case CONFIG_LIST:
            target_free_list(field, value);
            break;
        case CONFIG_SECTION:
            config_free(field->fields, value);
            break;
        case CONFIG_BOOL:
        case CONFIG_INTEGER:
        case CONFIG_DURATION:
        case CONFIG_CHOICE:
            break;
        }
    }
}
