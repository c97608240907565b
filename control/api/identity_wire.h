// SPDX-License-Identifier: GPL-3.0-or-later
//
// Messages of remora.identity.v1 to and from plain structs.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "attest/attest.h"
#include "base/error.h"
#include "identity/trust.h"

struct identity_request; // an unpacked IssueRequest

// *evidence borrows from *request: identity_request_free() after attest_issue(). `source` and
// `peer` are left to the caller. Errors: RM_ERR_MALFORMED, RM_ERR_TOO_LARGE, RM_ERR_NO_MEMORY.
RM_NODISCARD enum rm_err identity_wire_read_issue(const uint8_t *bytes, size_t length,
                                                  struct identity_request **request,
                                                  struct attest_evidence *evidence,
                                                  struct rm_error *error);
void identity_request_free(struct identity_request *request);
// *bytes is the caller's (rm_free). `domain` may be NULL: an empty bundle.
RM_NODISCARD enum rm_err identity_wire_write_issue(const struct attest_result *result,
                                                   const struct trust_domain *domain,
                                                   uint8_t **bytes, size_t *length);
RM_NODISCARD enum rm_err identity_wire_write_bundle(const struct trust_domain *domain,
                                                    uint8_t **bytes, size_t *length);
