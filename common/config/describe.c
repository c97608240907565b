// SPDX-License-Identifier: GPL-3.0-or-later
#include <stdio.h>

#include "config_internal.h"

const char *config_describe(void)
{
    static char text[64];
    snprintf(text, sizeof text, "libyaml %s", yaml_get_version_string());
    return text;
}
