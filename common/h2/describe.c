// SPDX-License-Identifier: GPL-3.0-or-later
#include <stdio.h>

#include "h2_internal.h"

const char *h2_describe(void)
{
    static char text[64];
    snprintf(text, sizeof text, "nghttp2 %s", nghttp2_version(0)->version_str);
    return text;
}
