// SPDX-License-Identifier: GPL-3.0-or-later
//
// Token buckets, one per source address, in a bounded table: when it is full, the bucket that was
// used longest ago makes room. One thread.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define RATE_MAX_SOURCES 16384 // about 3 MiB

struct rate;

// `per_s` requests a second on average, `burst` at once. NULL when memory is exhausted.
struct rate *rate_new(double per_s, double burst);
void rate_free(struct rate *rate);
void rate_set(struct rate *rate, double per_s, double burst);
// Takes one request of `address` (numeric) from its bucket; false when it is empty. Of an
// IPv6 address its /64 counts: one host has all of them. Without memory for a new bucket the answer
// is false.
bool rate_pass(struct rate *rate, const char *address, uint64_t now_ms);
