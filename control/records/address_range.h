// SPDX-License-Identifier: GPL-3.0-or-later
//
// CIDR ranges: in which addresses a token's holder may have its endpoints. Pure.
#pragma once

#include <stdbool.h>

#include "base/error.h"

// "10.0.0.0/8", "2001:db8::/32", or an address alone; no bits beyond the prefix. Errors:
// RM_ERR_MALFORMED with the fault.
RM_NODISCARD enum rm_err address_range_check(const char *range, struct rm_error *error);
// Whether the numeric address (without port or brackets) lies in a range that passed the check.
// An IPv4 address in IPv6 clothes (::ffff:10.0.0.1) counts as IPv4. False for what is no address.
bool address_range_contains(const char *range, const char *address);
