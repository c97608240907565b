// SPDX-License-Identifier: GPL-3.0-or-later
//
// Inside the certificate authority.
#pragma once

#include "ca/authority.h"
#include "records/records.h"
#include "records/transaction.h"

#define AUTHORITY_MAX_PEM_BYTES 65536

// A CA certificate with its key, ready to sign. Immutable once made; replaced as a whole.
struct ca {
    struct record_bytes der;      // the certificate; owned
    struct issuer *issuer;        // NULL: the key is elsewhere (offline root)
    uint8_t key_id[KEY_ID_BYTES]; // SHA-256 of its SPKI
    int64_t not_before_s;         // Unix seconds
    int64_t not_after_s;          // Unix seconds
};
void ca_deinit(struct ca *ca);
// Copies `der`; borrows `key`, which may be NULL.
RM_NODISCARD enum rm_err ca_init(struct ca *ca, const uint8_t *der, size_t length,
                                 struct private_key *key, struct rm_error *error);
// A self-signed root / an intermediate under `root`, for `key`, from now on.
RM_NODISCARD enum rm_err ca_make_root(struct ca *ca, struct private_key *key,
                                      const char *trust_domain, struct rm_error *error);
RM_NODISCARD enum rm_err ca_make_intermediate(struct ca *ca, const struct ca *root,
                                              struct private_key *key, const char *trust_domain,
                                              struct rm_error *error);
// "<what>: <the code's text>" unless `result` is RM_OK. Returns `result`.
enum rm_err ca_explain(struct rm_error *error, enum rm_err result, const char *what);
bool ca_is_past_half(const struct ca *ca, int64_t now_s);
// The trust domain's one root as a snapshot.
RM_NODISCARD enum rm_err ca_trust(const struct ca *root, const char *trust_domain,
                                  struct trust_snapshot **out);

// A key as it lies in the store, and back. `name` is the record's key ("ca/root"), which is sealed
// in, so that one record cannot stand in for another. Errors of unseal: RM_ERR_CONFIG with a
// sentence about the key-encryption key.
RM_NODISCARD enum rm_err ca_key_seal(const struct secret *kek, const char *name,
                                     const struct private_key *key, struct record_bytes *out);
RM_NODISCARD enum rm_err ca_key_unseal(const struct secret *kek, const char *name,
                                       const struct record_bytes *sealed, struct private_key **out,
                                       struct rm_error *error);
// Puts certificate and sealed key. A failure is latched in the transaction.
void ca_put(struct transaction *transaction, const char *name, const struct secret *kek,
            const struct record_bytes *certificate, const struct private_key *key);

struct authority {
    struct loop *loop;                 // borrowed
    struct store *store;               // borrowed
    char *trust_domain;                // own; owned
    struct secret kek;                 // own copy, for renewed intermediates
    enum authority_mode mode;          // self: root.issuer is there
    struct ca root;                    // in force
    struct ca intermediate;            // in force
    struct der root_der;               // view of root.der
    struct der intermediate_der;       // view of intermediate.der
    uint64_t revision;                 // of "ca/intermediate"
    struct trust_snapshot *trust;      // of the root
    struct timer check;                // of the dates
    bool is_closed;                    // authority_close() was called
    size_t pending_count;              // signatures and transactions under way
    struct renewal *renewal;           // under way, or NULL
    authority_ready_fn on_ready;       // until it was called
    void *ready_context;               // for on_ready
    void (*on_renewed)(void *context); // may be NULL
    void *renewed_context;             // for on_renewed
};
// Frees a closed authority with nothing under way.
void authority_release(struct authority *authority);
// Calls on_ready, once.
void authority_answer_ready(struct authority *authority, enum rm_err result,
                            const struct rm_error *error);

// --- authority_renew.c
// Starts a renewal of the intermediate; on_ready comes after it when it is still wanted.
RM_NODISCARD enum rm_err authority_renew(struct authority *authority, struct rm_error *error);
// Raises or clears the alarms for certificates that near their end; renews what is due.
void authority_check_dates(void *context);
