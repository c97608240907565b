// SPDX-License-Identifier: GPL-3.0-or-later
#include "program/version.h"

#include <stdio.h>

#include "base/version.h"

void version_print(const char *program, const char *const *libraries)
{
    printf("%s %s\n", program, REMORA_VERSION);
    for (size_t i = 0; libraries[i] != NULL; i++) {
        printf("  %s\n", libraries[i]);
    }
}
