// SPDX-License-Identifier: GPL-3.0-or-later
//
// Tunnel addresses that sidecars claim. Pure.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "stream/stream.h"

// A claimed address as it will stand in the view, in one spelling: with the source's host when the
// claim names none. Remora's own other ports are refused. Errors: RM_ERR_MALFORMED with the fault.
RM_NODISCARD enum rm_err address_complete(const char *claimed, const struct stream_address *source,
                                          char *out, size_t out_bytes, struct rm_error *error);
// Same host as the connection came from; a mapped IPv4 address counts as IPv4.
bool address_is_source(const char *address, const struct stream_address *source);
// Whether its host lies in `range` (records/address_range.h). Loopback and link-local addresses do
// so only for a connection from such a one. False for anything malformed.
bool address_is_in_range(const char *address, const struct stream_address *source,
                         const char *range);
