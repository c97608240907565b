// SPDX-License-Identifier: GPL-3.0-or-later
#include <stdio.h>

#include "json_internal.h"

const char *json_describe(void)
{
    static char text[64];
    snprintf(text, sizeof text, "jansson %s", jansson_version_str());
    return text;
}
