// SPDX-License-Identifier: GPL-3.0-or-later
//
// Name constraints (RFC 5280 4.2.1.10). wolfSSL applies those of the direct issuer only; a chain
// check needs those of every CA above. URI, DNS, IP and directory names are judged; where a
// constraint has a form we do not judge and the certificate has names of that form, the answer is
// no.
#pragma once

#include <stdbool.h>

#include "crypto/x509_internal.h"

// Whether `authority` may stand above `subject`, as far as names go.
bool constraints_permit(const struct x509 *authority, const struct x509 *subject);
