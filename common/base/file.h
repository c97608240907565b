// SPDX-License-Identifier: GPL-3.0-or-later
//
// Small whole files: read with a limit, read a secret with a check of its mode, write so that
// either the old or the new content is there after a crash.
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/secret.h"

// Reads at most `max_bytes`. *bytes is the caller's (rm_free), NUL-terminated past *length.
// Errors: RM_ERR_NOT_FOUND, RM_ERR_PERMISSION, RM_ERR_TOO_LARGE, RM_ERR_IO; the message names the
// file, the cause and what to do.
RM_NODISCARD enum rm_err file_read(const char *path, size_t max_bytes, uint8_t **bytes,
                                   size_t *length, struct rm_error *error);
// The same for a secret: a regular file that only its owner (us or root) can read or write.
// Errors: also RM_ERR_PERMISSION when group or others have any access.
RM_NODISCARD enum rm_err file_read_secret(const char *path, size_t max_bytes, struct secret *out,
                                          struct rm_error *error);
// Writes a temporary file beside `path`, syncs it, renames it over `path`, syncs the folder.
// On any error the old content stays and no temporary file remains; only when the last step fails,
// the folder's sync, is the new content there already, and might not be after a crash.
RM_NODISCARD enum rm_err file_write_atomic(const char *path, const void *bytes, size_t length,
                                           mode_t mode, struct rm_error *error);
// Makes `path` with `mode` if it is not there; if it is, checks that it is a folder of ours that
// nobody else may write to.
RM_NODISCARD enum rm_err file_make_private_folder(const char *path, mode_t mode,
                                                  struct rm_error *error);
