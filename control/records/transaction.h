// SPDX-License-Identifier: GPL-3.0-or-later
//
// A store transaction under construction: conditions, and puts of records with their keys. The
// first thing that fails is kept and reported by transaction_commit(), so that callers need not
// check each step. Life: transaction_init -> require, put, delete ... -> transaction_commit or
// transaction_deinit.
#pragma once

#include "records/record_keys.h"
#include "records/records.h"
#include "store/store.h"

#define TRANSACTION_MAX_STEPS 16 // operations, and conditions; one issue needs six

struct transaction {
    struct store_condition conditions[TRANSACTION_MAX_STEPS]; // keys are owned
    size_t condition_count;                                   // entries in conditions
    struct store_operation operations[TRANSACTION_MAX_STEPS]; // keys and values are owned
    size_t operation_count;                                   // entries in operations
    enum rm_err failure;                                      // first error; RM_OK so far
};

void transaction_init(struct transaction *transaction);
void transaction_deinit(struct transaction *transaction);
// The key must be at this revision (0: absent).
void transaction_require(struct transaction *transaction, const char *key, uint64_t revision);
void transaction_delete(struct transaction *transaction, const char *key);

// `encoded` is what encoding the value returned; `bytes` are taken. The functions below use it.
void transaction_put(struct transaction *transaction, const char *key, enum rm_err encoded,
                     uint8_t *bytes, size_t length);
void transaction_put_authority(struct transaction *transaction, const char *key,
                               const struct authority_record *record);
void transaction_put_served(struct transaction *transaction, const struct served_record *record);
void transaction_put_token(struct transaction *transaction, const char *id,
                           const struct token_record *record);
void transaction_put_lineage(struct transaction *transaction, const uint8_t lineage[LINEAGE_BYTES],
                             const struct lineage_record *record);
void transaction_put_certificate(struct transaction *transaction,
                                 const uint8_t serial[ISSUE_SERIAL_BYTES],
                                 const struct certificate_record *record);
void transaction_put_service(struct transaction *transaction, const char *name,
                             const struct service_record *record);
void transaction_put_endpoint(struct transaction *transaction, const char *service,
                              const char *instance_id, const struct endpoint_record *record);
void transaction_put_withdrawal(struct transaction *transaction,
                                const struct withdrawal_record *record);
void transaction_put_rejoin(struct transaction *transaction, const uint8_t key_hash[KEY_ID_BYTES],
                            const struct rejoin_record *record);

// Hands it to the store and frees it in any case. Errors: the first failure of the steps above, or
// the store's; then `on_commit` is not called.
RM_NODISCARD enum rm_err transaction_commit(struct transaction *transaction, struct store *store,
                                            store_commit_fn on_commit, void *context);
