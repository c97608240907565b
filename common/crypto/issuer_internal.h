// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <stdatomic.h>

#include "crypto/issue.h"
#include "crypto/x509_internal.h"

struct issuer {
    atomic_uint ref_count;     // 1 when made
    uint8_t *der;              // the CA certificate; owned
    struct x509_pieces pieces; // into der
    struct der key_id;  // content of its subjectKeyIdentifier, into der; empty when it has none
    char *trust_domain; // of its SPIFFE ID; owned; NULL when it has none
    bool may_issue_ca;  // its path length allows an intermediate
    struct private_key *key; // owned reference
};
