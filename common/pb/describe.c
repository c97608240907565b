// SPDX-License-Identifier: GPL-3.0-or-later
#include "pb/describe.h"

#include <stdio.h>

#include <protobuf-c/protobuf-c.h>

const char *pb_describe(void)
{
    static char text[64];
    snprintf(text, sizeof text, "protobuf-c %s", protobuf_c_version());
    return text;
}
