// SPDX-License-Identifier: GPL-3.0-or-later
//
// What a host keeps across restarts, in a folder of mode 0700: a re-join key, the SPIFFE ID it was
// registered for, and the trust bundle of that time. No certificate and no certificate's key.
#pragma once

#include <stdbool.h>

#include "base/error.h"
#include "crypto/key.h"
#include "identity/trust.h"

struct state_dir {
    struct private_key *rejoin_key; // owned reference; NULL: none kept
    char *identity;                 // owned; NULL with rejoin_key
    struct trust_snapshot *trust;   // owned reference; NULL: none kept
};

// Makes the folder if need be and reads what is there; an empty folder is RM_OK with nothing in it.
// Errors: RM_ERR_PERMISSION, RM_ERR_MALFORMED ... with the file, the cause and the fix.
RM_NODISCARD enum rm_err state_dir_read(const char *path, const char *trust_domain,
                                        struct state_dir *out, struct rm_error *error);
// Keeps a registered re-join key; each file is replaced whole.
RM_NODISCARD enum rm_err state_dir_write(const char *path, const char *trust_domain,
                                         struct private_key *rejoin_key, const char *identity,
                                         const struct trust_snapshot *trust,
                                         struct rm_error *error);
void state_dir_deinit(struct state_dir *state);

// The roots of one trust domain from a PEM file as a trust snapshot, which is the caller's.
RM_NODISCARD enum rm_err bundle_file_read(const char *path, const char *trust_domain,
                                          struct trust_builder *into, struct rm_error *error);
