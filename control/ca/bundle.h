// SPDX-License-Identifier: GPL-3.0-or-later
//
// The trust domain's roots as a public file, for sidecars that pin the control plane by file.
#pragma once

#include "base/error.h"
#include "crypto/certificate.h"

#define BUNDLE_FILE "bundle.pem"

// Writes <folder>/bundle.pem (0644), unless it holds just this already.
RM_NODISCARD enum rm_err bundle_write(const char *folder, const struct der *root,
                                      struct rm_error *error);
