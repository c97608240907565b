// SPDX-License-Identifier: GPL-3.0-or-later
//
// Keys, certificates and chains, made anew for each test. Failures of the fixture itself abort.
#pragma once

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
// cmocka.h needs the four above and setjmp.h before it.
#include <setjmp.h>

#include <cmocka.h>

#include "crypto/certificate.h"
#include "crypto/issue.h"
#include "crypto/key.h"
#include "crypto/profile_internal.h"
#include "identity/trust.h"

#define FIXTURE_DAY_S 86400

// A key and its certificate; an issuer too when it is a CA.
struct fixture {
    struct private_key *key; // owned
    uint8_t *der;            // owned
    size_t length;           // of der
    struct issuer *issuer;   // owned; NULL for a leaf
    struct der view;         // der and length
};

// cmocka group set-up and tear-down: crypto_init, crypto_deinit.
int fixture_start(void **state);
int fixture_stop(void **state);

int64_t fixture_now(void);
struct private_key *fixture_key(void);
// One made by the openssl command: "P-384", "RSA:2048".
struct private_key *fixture_foreign_key(const char *kind);
struct fixture fixture_root(const char *trust_domain);
struct fixture fixture_root_of(struct private_key *key, const char *trust_domain);
struct fixture fixture_intermediate(const struct fixture *root, const char *trust_domain);
struct fixture fixture_leaf(const struct fixture *issuer, const char *spiffe_id);
// A certificate that no issuing function would make: `profile` is filled where it is empty (serial,
// dates, key, issuer) and signed by `signer`, or by its own key when that is NULL.
struct fixture fixture_odd(struct profile profile, const struct fixture *signer);
void fixture_free(struct fixture *fixture);

// A snapshot with one domain and one root. The caller unrefs.
struct trust_snapshot *fixture_trust(const char *trust_domain, const struct fixture *root);
void fixture_add_root(struct trust_builder *builder, const char *trust_domain,
                      const struct fixture *root);

// Runs a shell command in a fresh folder that is removed at the end; true when it exits with 0.
// Files are put there with fixture_put() and read with fixture_get().
void fixture_folder_open(void);
void fixture_folder_close(void);
void fixture_put(const char *name, const void *bytes, size_t length);
void fixture_put_pem(const char *name, const char *label, const uint8_t *der, size_t length);
uint8_t *fixture_get(const char *name, size_t *length);
bool fixture_run(const char *command);
// A certificate made by openssl in the open folder: subject O=Test, CN=<name>, P-256, one day.
// `issuer` names one made before; NULL: self-signed. `extensions` are lines of an openssl
// configuration. `options` are more arguments of "openssl req"; may be "". The result has no
// key and no issuer.
struct fixture fixture_openssl(const char *name, const char *issuer, const char *extensions,
                               const char *options);
