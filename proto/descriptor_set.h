// SPDX-License-Identifier: GPL-3.0-or-later
//
// The serialised FileDescriptorSet of every contract, for gRPC reflection.
#pragma once

#include <stddef.h>
#include <stdint.h>

extern const uint8_t remora_descriptor_set[];
extern const size_t remora_descriptor_set_length;
