// SPDX-License-Identifier: GPL-3.0-or-later
//
// Reading UTF-8 (RFC 3629) that may be wrong: for whoever shows foreign text to people or machines.
#pragma once

#include <stddef.h>
#include <stdint.h>

#define UTF8_REPLACEMENT 0xfffdU // stands for what is not a character

// Reads the character at `text`, which ends with a NUL and has not ended yet. Gives how many bytes
// it takes, at least 1. A byte that begins no valid character (overlong, surrogate, cut, above
// U+10FFFF) counts as one UTF8_REPLACEMENT.
size_t utf8_read(const char *text, uint32_t *code);
// Puts '?' in place of each byte that begins no valid character: some formats take only UTF-8.
void utf8_repair(char *text);
