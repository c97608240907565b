// SPDX-License-Identifier: GPL-3.0-or-later
//
// protobuf-c with our allocator and bounds. Only *_wire.c files include this. protobuf-c itself
// bounds neither the size of a message nor what it takes in memory: two wire bytes can become a
// hundred and fifty in memory. Everything from outside therefore goes through pb_unpack(), which
// refuses by size before it looks at a byte and stops when memory grows out of proportion. (Nesting
// is bounded by our contracts: no message contains itself.) Stateless and thread-safe.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <protobuf-c/protobuf-c.h>

#include "base/error.h"

// Memory one unpacked message may take: this much for each wire byte, plus the base. A list of
// one-letter strings needs 25; a list of empty messages would need over 80 and is refused.
#define PB_MEMORY_PER_BYTE 32
#define PB_MEMORY_BASE_BYTES 4096

// rm_malloc and rm_free as protobuf-c wants them. Never NULL; static.
ProtobufCAllocator *pb_allocator(void);

// Unpacks one message of type `type`. *out is the caller's: pb_free(). A string of the contract
// ends at its first NUL byte. `error` may be NULL. Errors: RM_ERR_TOO_LARGE (more than max_bytes,
// or memory out of proportion), RM_ERR_MALFORMED, RM_ERR_NO_MEMORY.
RM_NODISCARD enum rm_err pb_unpack(const ProtobufCMessageDescriptor *type, const uint8_t *bytes,
                                   size_t length, size_t max_bytes, ProtobufCMessage **out,
                                   struct rm_error *error);
// A message that pb_unpack() gave. May be NULL.
void pb_free(ProtobufCMessage *message);

// The wire form of `message`. *bytes is the caller's (rm_free), never NULL on success.
// Errors: RM_ERR_TOO_LARGE (more than max_bytes), RM_ERR_NO_MEMORY.
RM_NODISCARD enum rm_err pb_pack(const ProtobufCMessage *message, size_t max_bytes, uint8_t **bytes,
                                 size_t *length);
