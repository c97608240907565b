// SPDX-License-Identifier: GPL-3.0-or-later
//
// The bytes that travel: a fixed pseudo-random sequence with a prime period, so that a piece that
// is lost, doubled or moved does not look right. Answers and streams begin at offset 0.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// LOAD_BLOCK_BYTES of the sequence from `offset` on.
const uint8_t *pattern_at(uint64_t offset);
// `length` is at most LOAD_BLOCK_BYTES.
bool pattern_matches(uint64_t offset, const uint8_t *bytes, size_t length);
