// SPDX-License-Identifier: GPL-3.0-or-later
//
// A certificate authority over a real store in a private folder, with real keys; calls wait for
// their answer. The wall clock can be moved.
#pragma once

#include "store_fixture.h"

#include "base/secret.h"
#include "ca/authority.h"

#define TEST_DOMAIN "example.org"

struct authority_fixture {
    struct fixture *base;        // loop and store
    struct secret kek;           // key-encryption key
    struct authority *authority; // loaded, or NULL
    struct rm_error error;       // of the last call that failed
    char *csr_pem;               // of an offline-root init; owned
};

// The wall clock from now on: `offset_s` beside the system's.
void clock_move(int64_t offset_s);

struct authority_fixture *authority_fixture_new(void);
void authority_fixture_free(struct authority_fixture *fixture);
// A fixture with an authority of mode self, loaded.
int authority_fixture_setup(void **state);
int authority_fixture_teardown(void **state);

enum rm_err authority_fixture_init(struct authority_fixture *fixture, enum authority_mode mode);
enum rm_err authority_fixture_import(struct authority_fixture *fixture, const void *pem,
                                     size_t length);
enum rm_err authority_fixture_load(struct authority_fixture *fixture);
void authority_fixture_close(struct authority_fixture *fixture);
enum rm_err authority_fixture_identity(struct authority_fixture *fixture,
                                       const char *const *dns_names, size_t dns_count,
                                       int64_t lifetime_s, struct tls_identity **out);
// Signs a leaf for a fresh key; `leaf` gets it (chain_deinit(&leaf->chain)).
enum rm_err authority_fixture_sign(struct authority_fixture *fixture, int64_t lifetime_s,
                                   struct authority_leaf *leaf);
