// SPDX-License-Identifier: GPL-3.0-or-later
//
// The process's descriptors are a shared good: listeners stop accepting before the last is gone, so
// that what was accepted can be dialled on, health answers, files can be read and the control plane
// be reached. The kernel always gives the lowest free number, so a number near the limit means that
// all below it are in use. Thread-safe.
#pragma once

#include <stdbool.h>
#include <stdint.h>

// Kept back: look-ups, files, the control connection, health and metrics, one overshoot for each
// listener of each worker ...
#define DESCRIPTORS_RESERVE 64
// ... but of a small limit no more than this part.
#define DESCRIPTORS_RESERVE_PART 8
// Without a shortage for so long, the next one is told again.
#define DESCRIPTORS_QUIET_MS 10000

// A connection that was accepted will need a second descriptor. `count` may be negative: no more.
void descriptors_pledge(int count);
// Whether whoever was given `descriptor` should be the last one. `has_reserve`: it may use half of
// what is kept back.
bool descriptors_are_scarce(int descriptor, bool has_reserve);
// The same for the descriptor that the kernel would give next; `descriptor` is any open one.
bool descriptors_would_be_scarce(int descriptor, bool has_reserve);
// True when this shortage is news and should be logged.
bool descriptors_note_shortage(uint64_t now_ms);
