// SPDX-License-Identifier: GPL-3.0-or-later
//
// Groups by name. Reads /etc/group itself: a static program cannot count on the C library's name
// services.
#pragma once

#include <sys/types.h>

#include "base/error.h"

#define GROUP_NONE ((gid_t)-1) // stands for "no group"

// `text` is a name in /etc/group, or a number. Errors: RM_ERR_NOT_FOUND.
RM_NODISCARD enum rm_err group_find(const char *text, gid_t *out);
