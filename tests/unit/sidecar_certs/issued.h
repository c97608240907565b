// SPDX-License-Identifier: GPL-3.0-or-later
//
// The certs room beside a control plane whose Identity service the test plays.
#pragma once

#include "control_fixture.h"
#include "fake_time.h"
#include "sidecar_parts.h"

#include "base/buffer.h"
#include "certs/certs.h"
#include "crypto/crypto.h"

#define HOST_ID "spiffe://td.test/ns/a/sa/host"

// What the Identity service answers.
enum issue_manners {
    ISSUE_WELL,
    ISSUE_REFUSES,       // with `status`
    ISSUE_LOSES_ANSWER,  // issues, then the connection dies
    ISSUE_IS_SILENT,     // never answers
    ISSUE_SAYS_NOTHING,  // ends well, without a message
    ISSUE_SAYS_GARBAGE,  // a message that is none
    ISSUE_FOR_OTHER_KEY, // a certificate for a key of its own
    ISSUE_FOR_OTHER_ID,  // the answer names another identity than the certificate
    ISSUE_UNDER_OTHER_CA // a chain that the bundle does not vouch for
};

struct scene {
    struct loop *loop;
    struct resolver *resolver;
    struct pki_authority authority;
    struct pki_authority other; // of td.test as well, trusted by nobody
    struct trust_snapshot *trust;
    struct control_plane control;
    struct folder folder;
    struct sidecar_config *config;
    struct metrics *metrics;
    struct metric_set *metric_set;
    struct certs *certs; // NULL once stopped
    // The service.
    enum issue_manners manners;
    enum rpc_status status;   // of ISSUE_REFUSES
    bool registers_rejoin;    // is_rejoin_registered
    int64_t life_s;           // of what is issued
    int request_count;        // Issue calls
    struct rpc_call *waiting; // of ISSUE_IS_SILENT
    uint8_t spki_ids[16][32]; // SHA-256 of each request's public key
    char token[256];          // of the last request; "": none
    bool has_rejoin_proof;    // the last request
    bool has_new_rejoin_key;  // the last request
    bool is_by_svid;          // the last call's peer was authenticated
    // What certs told.
    int changed_count;
    char identity[128]; // of the last change
};

int scene_setup(void **state);
int scene_teardown(void **state);
// A configuration that names the token's file, the state folder, or both.
void scene_configure(struct scene *scene, bool has_token, bool has_state);
// A token whose pin is this authority's root.
void scene_write_token(struct scene *scene, const struct pki_authority *pinned);
void scene_start(struct scene *scene);
void scene_stop(struct scene *scene);
// Both clocks and the loop's time go on by so much.
void scene_jump(struct scene *scene, uint64_t ms);
// Runs until so many requests came; changes; or the last error says this.
void expect_requests(struct scene *scene, int count);
void expect_changes(struct scene *scene, int count);
void expect_error(struct scene *scene, const char *what);
