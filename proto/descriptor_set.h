// SPDX-License-Identifier: GPL-3.0-or-later
//
// Serialised FileDescriptorSets for gRPC reflection: what the control plane and its peers speak,
// and what a sidecar's local API does.
#pragma once

#include <stddef.h>
#include <stdint.h>

extern const uint8_t remora_descriptor_set[];
extern const size_t remora_descriptor_set_length;
extern const uint8_t remora_local_descriptor_set[];
extern const size_t remora_local_descriptor_set_length;
