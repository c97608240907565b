// SPDX-License-Identifier: GPL-3.0-or-later
#include <stdio.h>

#include "loop_internal.h"
#include "resolver_internal.h"

const char *loop_describe(void)
{
    static char text[64];
    snprintf(text, sizeof text, "libuv %s, c-ares %s", uv_version_string(), ares_version(NULL));
    return text;
}
