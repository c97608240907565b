// SPDX-License-Identifier: GPL-3.0-or-later
//
// remora.identity.v1.Identity: Issue and WatchTrust, between the wire and the attest room. Belongs
// to the control loop.
#pragma once

#include "api/access.h"
#include "attest/attest.h"
#include "base/error.h"
#include "rpc/rpc.h"

#define IDENTITY_MAX_WATCHERS 16384 // WatchTrust calls at once; beyond: RESOURCE_EXHAUSTED

struct identity_service;

struct identity_options {
    struct attest *attest;      // borrowed
    struct access *access;      // borrowed
    const char *trust_domain;   // own; copied
    struct trust_source source; // of the bundle; copied
};
// Adds its methods to the server, which it must outlive. Errors: RM_ERR_NO_MEMORY, RM_ERR_EXISTS.
RM_NODISCARD enum rm_err identity_service_new(const struct identity_options *options,
                                              struct rpc_server *server,
                                              struct identity_service **out);
// The roots changed: watchers are told.
void identity_service_trust_changed(struct identity_service *service);
// Issue calls served so far: with a certificate, and refused.
void identity_service_counts(const struct identity_service *service, uint64_t *issued,
                             uint64_t *refused);
// After the server was freed; answers of the attest room may still come. May be NULL.
void identity_service_free(struct identity_service *service);
