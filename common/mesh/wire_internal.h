// SPDX-License-Identifier: GPL-3.0-or-later
//
// What the wire files of this room share.
#pragma once

#include "mesh/mesh_wire.h"

// Generated; only *_wire.c files look inside.
struct Remora__Mesh__V1__Version;
struct Remora__Mesh__V1__Resource;

// `message` NULL is an absent version. Errors: RM_ERR_MALFORMED.
RM_NODISCARD enum rm_err wire_read_version(const struct Remora__Mesh__V1__Version *message,
                                           struct mesh_version *out, struct rm_error *error);
// `out` borrows `version`.
void wire_write_version(const struct mesh_version *version, struct Remora__Mesh__V1__Version *out);

// *out is a reference. Errors: RM_ERR_MALFORMED, RM_ERR_LIMIT, RM_ERR_NO_MEMORY.
RM_NODISCARD enum rm_err wire_decode_resource(const struct Remora__Mesh__V1__Resource *message,
                                              struct mesh_resource **out);

// Copies of `count` strings. *out_count grows with them, so that a list half copied can be freed.
RM_NODISCARD enum rm_err wire_copy_strings(char *const *strings, size_t count, char ***out,
                                           size_t *out_count);

// The rules of mesh_wire.h, the same for what is sent and what came. Errors: RM_ERR_MALFORMED,
// RM_ERR_LIMIT.
RM_NODISCARD enum rm_err wire_check_request(const struct mesh_request *request,
                                            struct rm_error *error);
// A printable copy within the limit; NULL gives "". NULL when memory is exhausted.
char *wire_printable(const char *text);
