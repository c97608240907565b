// SPDX-License-Identifier: GPL-3.0-or-later
//
// The certificate authority: root (mode self) or an intermediate signed elsewhere (offline-root),
// and the keys under the key-encryption key. Signs on a small pool; belongs to the control plane's
// loop.
// Life: authority_load -> authority_sign ... -> authority_close.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/secret.h"
#include "crypto/certificate.h"
#include "crypto/issue.h"
#include "identity/trust.h"
#include "loop/loop.h"
#include "store/store.h"
#include "tls/tls.h"

#define AUTHORITY_ROOT_LIFETIME_S (INT64_C(3650) * 86400)
#define AUTHORITY_ROOT_ALARM_S (INT64_C(90) * 86400)
#define AUTHORITY_INTERMEDIATE_LIFETIME_S (INT64_C(30) * 86400) // renewed at half
#define AUTHORITY_BACKDATE_S 60         // notBefore of every leaf: tolerates clocks a little behind
#define AUTHORITY_SIGN_PENDING_MAX 4096 // beyond: RM_ERR_BUSY, callers say "try again"
#define AUTHORITY_CHECK_MS 60000        // how often the dates are looked at

enum authority_mode { AUTHORITY_SELF, AUTHORITY_OFFLINE_ROOT };

struct authority;

// `csr_pem`: of AUTHORITY_OFFLINE_ROOT, borrowed; else NULL. Once, later.
typedef void (*authority_init_fn)(void *context, enum rm_err result, const char *csr_pem,
                                  const struct rm_error *error);
// `remora-control init`: makes root and first intermediate (self), or only an intermediate key,
// whose request an operator has signed elsewhere (offline-root). One transaction.
// Errors (to the callback too): RM_ERR_EXISTS (the store has an authority already).
RM_NODISCARD enum rm_err authority_init(struct store *store, enum authority_mode mode,
                                        const char *trust_domain, const struct secret *kek,
                                        authority_init_fn on_done, void *context,
                                        struct rm_error *error);
// offline-root: takes the signed chain (intermediate, then root; PEM). The chain must be for the
// key that init made, and a leaf under it must verify. Again later, to renew it. `pem` is borrowed
// for the call; `csr_pem` in the callback is NULL.
RM_NODISCARD enum rm_err authority_import(struct store *store, const char *trust_domain,
                                          const struct secret *kek, const uint8_t *pem,
                                          size_t length, authority_init_fn on_done, void *context,
                                          struct rm_error *error);

// `authority` is NULL unless result is RM_OK.
typedef void (*authority_ready_fn)(void *context, enum rm_err result, struct authority *authority,
                                   const struct rm_error *error);
// Reads and unseals; renews the intermediate when it is past half. Calls back once, later.
RM_NODISCARD enum rm_err authority_load(struct loop *loop, struct store *store,
                                        const char *trust_domain, const struct secret *kek,
                                        authority_ready_fn on_ready, void *context);
// Signatures under way still answer; no more are taken.
void authority_close(struct authority *authority);

enum authority_mode authority_mode_of(const struct authority *authority);
// The own trust domain's roots. Borrowed; changes only with a root rotation.
struct trust_snapshot *authority_trust(const struct authority *authority);
// Certificates in force. Borrowed until the loop's next turn.
const struct der *authority_intermediate(const struct authority *authority);
const struct der *authority_root(const struct authority *authority);
// Called from the loop after the intermediate was renewed.
void authority_on_renewed(struct authority *authority, void (*on_renewed)(void *context),
                          void *context);

struct authority_leaf_request {
    uint8_t *spki;                      // taken (rm_free)
    size_t spki_length;                 // of spki
    char *spiffe_id;                    // taken
    char **dns_names;                   // taken, with its strings; may be NULL
    size_t dns_count;                   // of dns_names
    uint8_t serial[ISSUE_SERIAL_BYTES]; // lineage, then random
    int64_t lifetime_s;                 // from now; cut to the issuer's end
    int64_t not_before_s;               // when not_after_s is set
    int64_t not_after_s;                // not 0: exactly these dates, to repeat an answer
};
struct authority_leaf {
    struct chain chain;                  // leaf, intermediate; the callback's to take: what it
                                         // leaves is freed
    int64_t issued_at_s;                 // now
    int64_t not_before_s;                // of the leaf
    int64_t not_after_s;                 // of the leaf
    uint8_t issuer_key_id[KEY_ID_BYTES]; // of the intermediate
};
// `leaf` is NULL unless result is RM_OK.
typedef void (*authority_sign_fn)(void *context, enum rm_err result, struct authority_leaf *leaf);
// Signs on the pool; answers on the loop, exactly once. Errors: RM_ERR_BUSY, RM_ERR_EXPIRED (the
// intermediate has), RM_ERR_CLOSED, RM_ERR_NO_MEMORY (then no callback; the request's members are
// freed in any case).
RM_NODISCARD enum rm_err authority_sign(struct authority *authority,
                                        struct authority_leaf_request *request,
                                        authority_sign_fn on_signed, void *context);
// The control plane's own identity, spiffe://<td>/remora/control, with a fresh key: chain with the
// root at its end, so that pins can match. Blocking (one signature).
RM_NODISCARD enum rm_err authority_own_identity(struct authority *authority,
                                                const char *const *dns_names, size_t dns_count,
                                                int64_t lifetime_s, struct tls_identity **out,
                                                struct rm_error *error);
// A fresh lineage, which is also how any serial of ours begins: random, its top bit 0 and its top
// nibble not, so that its length never changes. Errors: RM_ERR_CRYPTO.
RM_NODISCARD enum rm_err authority_random_lineage(uint8_t out[LINEAGE_BYTES]);
