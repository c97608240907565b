// SPDX-License-Identifier: GPL-3.0-or-later
#include <string.h>

#include "crypto/oid_internal.h"

struct oid_row {
    const char *name;  // for people
    const char *bytes; // DER content, without tag and length
    size_t length;     // of bytes
};

static const struct oid_row oid_rows[OID_COUNT] = {[OID_UNKNOWN] = {"unknown", "", 0},
#define OID_ROW(id, name, bytes) [OID_##id] = {name, bytes, sizeof(bytes) - 1},
                                                   OID_LIST(OID_ROW)
#undef OID_ROW
};

enum oid oid_find(const uint8_t *bytes, size_t length)
{
    for (unsigned int row = OID_UNKNOWN + 1; row < OID_COUNT; row++) {
        if (oid_rows[row].length == length && memcmp(oid_rows[row].bytes, bytes, length) == 0) {
            return (enum oid)row;
        }
    }
    return OID_UNKNOWN;
}

const char *oid_name(enum oid oid)
{
    return oid_rows[oid].name;
}

const uint8_t *oid_bytes(enum oid oid, size_t *length)
{
    *length = oid_rows[oid].length;
    return (const uint8_t *)oid_rows[oid].bytes;
}
