// SPDX-License-Identifier: GPL-3.0-or-later
#include "records/records_wire_internal.h"

#include <string.h>

#include "base/alloc.h"

ProtobufCBinaryData record_wire_bytes(const void *bytes, size_t length)
{
    return (ProtobufCBinaryData){.len = length, .data = (uint8_t *)bytes};
}

char *record_wire_text(char *text)
{
    static char empty[] = "";
    return text != NULL ? text : empty;
}

char *record_take_text(const char *text, enum rm_err *failure)
{
    if (*failure != RM_OK) {
        return NULL;
    }
    char *copy = rm_strdup(text);
    if (copy == NULL) {
        *failure = RM_ERR_NO_MEMORY;
    }
    return copy;
}

struct record_strings record_take_strings(char *const *items, size_t count, enum rm_err *failure)
{
    struct record_strings strings = {0};
    if (*failure == RM_OK) {
        *failure = record_strings_dup((const char *const *)items, count, &strings);
    }
    return strings;
}

struct record_bytes record_take_bytes(ProtobufCBinaryData bytes, enum rm_err *failure)
{
    struct record_bytes copy = {0};
    if (*failure == RM_OK) {
        *failure = record_bytes_dup(bytes.data, bytes.len, &copy);
    }
    return copy;
}

void record_take_exact(ProtobufCBinaryData bytes, uint8_t *out, size_t length, enum rm_err *failure)
{
    if (*failure != RM_OK) {
        return;
    }
    if (bytes.len != length) {
        *failure = RM_ERR_MALFORMED;
        return;
    }
    memcpy(out, bytes.data, length);
}
