// SPDX-License-Identifier: GPL-3.0-or-later
//
// Copying between records and protobuf structs, for the files that know both.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "pb/pb.h"
#include "records/records.h"

// Borrows what a message needs for packing.
ProtobufCBinaryData record_wire_bytes(const void *bytes, size_t length);
// Never NULL, as protobuf-c's strings.
char *record_wire_text(char *text);

// Copies out of an unpacked message, latching: once *failure is set, nothing more is copied.
char *record_take_text(const char *text, enum rm_err *failure);
struct record_strings record_take_strings(char *const *items, size_t count, enum rm_err *failure);
struct record_bytes record_take_bytes(ProtobufCBinaryData bytes, enum rm_err *failure);
// Exactly `length` bytes, or RM_ERR_MALFORMED.
void record_take_exact(ProtobufCBinaryData bytes, uint8_t *out, size_t length,
                       enum rm_err *failure);
