// SPDX-License-Identifier: GPL-3.0-or-later
//
// Globs over SPIFFE IDs: '*' stands for any run of characters within one path segment, '**' for any
// run of whole segments, none included; at most one '**', so that matching is linear in pattern and
// ID whatever they are. The trust domain is always literal: "spiffe://td/ns/*/sa/web",
// "spiffe://td/**". Pure.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

// Errors: RM_ERR_MALFORMED with the fault and its offset ("the trust domain of a pattern must be
// literal").
RM_NODISCARD enum rm_err glob_check(const char *pattern, struct rm_error *error);
// `pattern` passed glob_check(). `spiffe_id` is a SPIFFE ID; it need not end with NUL.
bool glob_match(const char *pattern, const char *spiffe_id, size_t spiffe_id_length);
