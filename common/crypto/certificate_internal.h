// SPDX-License-Identifier: GPL-3.0-or-later
//
// From an opened certificate to the plain struct that other rooms read.
#pragma once

#include "crypto/der_internal.h"
#include "crypto/x509_internal.h"

// Free with certificate_deinit(). Errors: RM_ERR_NO_MEMORY (`out` is empty then).
RM_NODISCARD enum rm_err certificate_of_x509(const struct x509 *x509, struct certificate *out);
