// SPDX-License-Identifier: GPL-3.0-or-later
//
// Globs over SPIFFE IDs: '*' stands for any run of characters within one path segment, '**' for any
// run of whole segments. The trust domain is always literal: "spiffe://td/ns/*/sa/web",
// "spiffe://td/**". Pure; linear time for hostile patterns.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

// Errors: RM_ERR_MALFORMED with the fault ("the trust domain of a pattern must be literal").
RM_NODISCARD enum rm_err glob_check(const char *pattern, struct rm_error *error);
bool glob_match(const char *pattern, const char *spiffe_id, size_t spiffe_id_length);
