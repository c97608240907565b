// SPDX-License-Identifier: GPL-3.0-or-later
#include "base/group.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"

#define GROUP_FILE "/etc/group"
#define GROUP_FILE_MAX_BYTES (1U << 20)

static enum rm_err read_number(const char *text, char end_mark, gid_t *out)
{
    char *end = NULL;
    if (*text < '0' || *text > '9') {
        return RM_ERR_NOT_FOUND;
    }
    unsigned long long number = strtoull(text, &end, 10);
    if (*end != end_mark || number >= UINT32_MAX) {
        return RM_ERR_NOT_FOUND;
    }
    *out = (gid_t)number;
    return RM_OK;
}

// "name:password:number:members"
static enum rm_err read_line(const char *line, const char *name, gid_t *out)
{
    size_t length = strlen(name);
    if (strncmp(line, name, length) != 0 || line[length] != ':') {
        return RM_ERR_NOT_FOUND;
    }
    const char *number = strchr(line + length + 1, ':');
    return number != NULL ? read_number(number + 1, ':', out) : RM_ERR_NOT_FOUND;
}

enum rm_err group_find(const char *text, gid_t *out)
{
    uint8_t *bytes = NULL;
    size_t length = 0;
    if (read_number(text, '\0', out) == RM_OK) {
        return RM_OK;
    }
    RM_TRY(file_read(GROUP_FILE, GROUP_FILE_MAX_BYTES, &bytes, &length, NULL));
    enum rm_err result = RM_ERR_NOT_FOUND;
    for (char *line = (char *)bytes; line != NULL && result != RM_OK;) {
        char *end = strchr(line, '\n');
        if (end != NULL) {
            *end = '\0';
        }
        result = read_line(line, text, out);
        line = end != NULL ? end + 1 : NULL;
    }
    rm_free(bytes);
    return result;
}
