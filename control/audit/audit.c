// SPDX-License-Identifier: GPL-3.0-or-later
#include "audit/audit.h"

#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "crypto/crypto.h"
#include "records/records_wire.h"

// What goes into the store is printable: texts may come from a peer.
static char *dup_clean(const char *text)
{
    char *copy = rm_strndup(text != NULL ? text : "", AUDIT_MAX_TEXT_BYTES);
    for (char *at = copy; at != NULL && *at != '\0'; at++) {
        if ((unsigned char)*at < 0x20 || (unsigned char)*at >= 0x7f) {
            *at = '?';
        }
    }
    return copy;
}

static enum rm_err encode(const char *action, const char *actor, const char *subject,
                          const char *detail, uint8_t **bytes, size_t *length)
{
    struct audit_record record = {dup_clean(action), dup_clean(actor), dup_clean(subject),
                                  dup_clean(detail)};
    enum rm_err result = RM_ERR_NO_MEMORY;
    if (record.action != NULL && record.actor != NULL && record.subject != NULL &&
        record.detail != NULL) {
        result = audit_record_encode(&record, bytes, length);
    }
    audit_record_deinit(&record);
    return result;
}

void audit_record_operation(struct transaction *transaction, const char *action, const char *actor,
                            const char *subject, const char *detail)
{
    uint8_t *bytes = NULL;
    size_t length = 0;
    char key[RECORD_KEY_BYTES];
    record_key_audit(clock_wall_ms(), random_u32(), key);
    enum rm_err encoded = encode(action, actor, subject, detail, &bytes, &length);
    transaction_put(transaction, key, encoded, bytes, length);
    log_debug(LOG_AUDIT, action, LOG_STR("actor", actor), LOG_STR("subject", subject),
              LOG_STR("detail", detail));
}

static void on_refusal_kept(void *context, enum rm_err result, uint64_t revision)
{
    (void)context;
    (void)revision;
    if (result != RM_OK) {
        log_warn(LOG_AUDIT, "refusal_not_kept", LOG_ERR(result));
    }
}

void audit_refusal(struct store *store, const char *action, const char *actor, const char *subject,
                   const char *detail)
{
    struct transaction transaction;
    transaction_init(&transaction);
    audit_record_operation(&transaction, action, actor, subject, detail);
    enum rm_err result = transaction_commit(&transaction, store, on_refusal_kept, NULL);
    if (result != RM_OK) {
        on_refusal_kept(NULL, result, 0);
    }
}
