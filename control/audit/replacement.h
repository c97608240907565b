// SPDX-License-Identifier: GPL-3.0-or-later
//
// Notices that the store is another one than was served last: it was restored from a backup, and
// knows nothing of what came after that.
#pragma once

#include "store/store.h"

#define REPLACEMENT_ALARM_S (INT64_C(7) * 86400) // an operator looks at it within a week

// Once, when the server starts. Raises ALARM_STORE_REPLACED, also at later starts within
// REPLACEMENT_ALARM_S, and keeps an audit record. Goes on by itself, until store_close() at the
// latest; a failure is logged.
void replacement_check(struct store *store);
