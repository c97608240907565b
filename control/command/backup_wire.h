// SPDX-License-Identifier: GPL-3.0-or-later
//
// remora.admin.v1.BackupChunk.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

// Gives the chunk's data to `write` (borrowed for the call). Errors: RM_ERR_MALFORMED ..., or what
// `write` returned.
RM_NODISCARD enum rm_err backup_wire_read_chunk(
    const uint8_t *bytes, size_t length,
    enum rm_err (*write)(void *context, const uint8_t *data, size_t data_length), void *context);
