// SPDX-License-Identifier: GPL-3.0-or-later
#include "records/transaction.h"

#include "base/alloc.h"
#include "records/records_wire.h"

void transaction_init(struct transaction *transaction)
{
    *transaction = (struct transaction){0};
}

void transaction_deinit(struct transaction *transaction)
{
    for (size_t i = 0; i < transaction->condition_count; i++) {
        rm_free((char *)transaction->conditions[i].key);
    }
    for (size_t i = 0; i < transaction->operation_count; i++) {
        rm_free((char *)transaction->operations[i].key);
        rm_free((void *)transaction->operations[i].value);
    }
    transaction_init(transaction);
}

// A copy of the key for step number `count`, or NULL with the failure latched.
static char *next_key(struct transaction *transaction, size_t count, const char *key)
{
    if (transaction->failure != RM_OK) {
        return NULL;
    }
    if (count == TRANSACTION_MAX_STEPS) {
        transaction->failure = RM_ERR_LIMIT;
        return NULL;
    }
    char *copy = rm_strdup(key);
    if (copy == NULL) {
        transaction->failure = RM_ERR_NO_MEMORY;
    }
    return copy;
}

void transaction_require(struct transaction *transaction, const char *key, uint64_t revision)
{
    char *copy = next_key(transaction, transaction->condition_count, key);
    if (copy != NULL) {
        transaction->conditions[transaction->condition_count++] =
            (struct store_condition){.key = copy, .revision = revision};
    }
}

void transaction_delete(struct transaction *transaction, const char *key)
{
    char *copy = next_key(transaction, transaction->operation_count, key);
    if (copy != NULL) {
        transaction->operations[transaction->operation_count++] =
            (struct store_operation){.kind = STORE_DELETE, .key = copy};
    }
}

void transaction_put(struct transaction *transaction, const char *key, enum rm_err encoded,
                     uint8_t *bytes, size_t length)
{
    if (transaction->failure == RM_OK) {
        transaction->failure = encoded;
    }
    char *copy = next_key(transaction, transaction->operation_count, key);
    if (copy == NULL) {
        rm_free(bytes);
        return;
    }
    transaction->operations[transaction->operation_count++] = (struct store_operation){
        .kind = STORE_PUT, .key = copy, .value = bytes, .value_length = length};
}

// Encodes `record` with `encode` and puts it under `key`.
#define PUT_ENCODED(transaction, key, encode, record)                                              \
    do {                                                                                           \
        uint8_t *bytes = NULL;                                                                     \
        size_t length = 0;                                                                         \
        enum rm_err encoded = encode((record), &bytes, &length);                                   \
        transaction_put((transaction), (key), encoded, bytes, length);                             \
    } while (0)

static void latch(struct transaction *transaction, enum rm_err result)
{
    if (transaction->failure == RM_OK) {
        transaction->failure = result;
    }
}

void transaction_put_authority(struct transaction *transaction, const char *key,
                               const struct authority_record *record)
{
    PUT_ENCODED(transaction, key, authority_record_encode, record);
}

void transaction_put_served(struct transaction *transaction, const struct served_record *record)
{
    PUT_ENCODED(transaction, RECORD_SERVED_KEY, served_record_encode, record);
}

void transaction_put_token(struct transaction *transaction, const char *id,
                           const struct token_record *record)
{
    char key[RECORD_KEY_BYTES];
    latch(transaction, record_key_token(id, key));
    PUT_ENCODED(transaction, key, token_record_encode, record);
}

void transaction_put_lineage(struct transaction *transaction, const uint8_t lineage[LINEAGE_BYTES],
                             const struct lineage_record *record)
{
    char key[RECORD_KEY_BYTES];
    record_key_lineage(lineage, key);
    PUT_ENCODED(transaction, key, lineage_record_encode, record);
}

void transaction_put_certificate(struct transaction *transaction,
                                 const uint8_t serial[ISSUE_SERIAL_BYTES],
                                 const struct certificate_record *record)
{
    char key[RECORD_KEY_BYTES];
    record_key_certificate(serial, key);
    PUT_ENCODED(transaction, key, certificate_record_encode, record);
}

void transaction_put_service(struct transaction *transaction, const char *name,
                             const struct service_record *record)
{
    char key[RECORD_KEY_BYTES];
    latch(transaction, record_key_service(name, key));
    PUT_ENCODED(transaction, key, service_record_encode, record);
}

void transaction_put_endpoint(struct transaction *transaction, const char *service,
                              const char *instance_id, const struct endpoint_record *record)
{
    char key[RECORD_KEY_BYTES];
    latch(transaction, record_key_endpoint(service, instance_id, key));
    PUT_ENCODED(transaction, key, endpoint_record_encode, record);
}

void transaction_put_withdrawal(struct transaction *transaction,
                                const struct withdrawal_record *record)
{
    char key[RECORD_KEY_BYTES];
    record_key_withdrawal(record->kind, record->subject.bytes, record->subject.length, key);
    PUT_ENCODED(transaction, key, withdrawal_record_encode, record);
}

void transaction_put_rejoin(struct transaction *transaction, const uint8_t key_hash[KEY_ID_BYTES],
                            const struct rejoin_record *record)
{
    char key[RECORD_KEY_BYTES];
    record_key_rejoin(key_hash, key);
    PUT_ENCODED(transaction, key, rejoin_record_encode, record);
}

enum rm_err transaction_commit(struct transaction *transaction, struct store *store,
                               store_commit_fn on_commit, void *context)
{
    enum rm_err result = transaction->failure;
    if (result == RM_OK) {
        result =
            store_commit(store, transaction->conditions, transaction->condition_count,
                         transaction->operations, transaction->operation_count, on_commit, context);
    }
    transaction_deinit(transaction);
    return result;
}
