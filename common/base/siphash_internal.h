// SPDX-License-Identifier: GPL-3.0-or-later
//
// SipHash-2-4 (Aumasson, Bernstein 2012): a keyed hash for tables whose keys come from peers.
#pragma once

#include <stddef.h>
#include <stdint.h>

uint64_t siphash(const uint8_t key[16], const void *bytes, size_t length);
