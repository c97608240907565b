// SPDX-License-Identifier: GPL-3.0-or-later
//
// Dates: alarms in time, and a fresh intermediate at half life. The new one is in force only once
// it is durable; until then, and when that fails, the old one goes on.
#include <stdio.h>

#include "audit/alarms.h"
#include "audit/audit.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "ca/authority_internal.h"

struct renewal {
    struct authority *authority; // borrowed; counts as pending
    struct ca intermediate;      // not yet in force
};

static void put_in_force(struct authority *authority, struct ca *intermediate, uint64_t revision)
{
    ca_deinit(&authority->intermediate);
    authority->intermediate = *intermediate;
    authority->intermediate_der = (struct der){intermediate->der.bytes, intermediate->der.length};
    authority->revision = revision;
    *intermediate = (struct ca){0};
    log_info(LOG_CA, "intermediate_renewed",
             LOG_I64("not_after_s", authority->intermediate.not_after_s));
    if (authority->on_renewed != NULL) {
        authority->on_renewed(authority->renewed_context);
    }
}

// At start an expired intermediate without a successor is the end; later it only stops signing.
static void answer(struct authority *authority, enum rm_err result)
{
    struct rm_error error = {0};
    if (result != RM_OK && clock_wall_s() >= authority->intermediate.not_after_s) {
        ca_explain(&error, result,
                   "the intermediate certificate has expired and cannot be renewed");
        authority_answer_ready(authority, result, &error);
        return;
    }
    authority_answer_ready(authority, RM_OK, NULL);
}

static void on_renewal_commit(void *context, enum rm_err result, uint64_t revision)
{
    struct renewal *renewal = context;
    struct authority *authority = renewal->authority;
    authority->renewal = NULL;
    authority->pending_count--;
    if (result == RM_OK && !authority->is_closed) {
        put_in_force(authority, &renewal->intermediate, revision);
    } else if (result != RM_OK) {
        log_error(LOG_CA, "intermediate_not_renewed", LOG_ERR(result));
    }
    ca_deinit(&renewal->intermediate);
    rm_free(renewal);
    if (authority->is_closed) {
        if (authority->pending_count == 0) {
            authority_release(authority);
        }
        return;
    }
    answer(authority, result);
}

static enum rm_err renewal_commit(struct renewal *renewal, const struct private_key *key)
{
    struct authority *authority = renewal->authority;
    struct transaction transaction;
    transaction_init(&transaction);
    transaction_require(&transaction, RECORD_INTERMEDIATE_KEY, authority->revision);
    ca_put(&transaction, RECORD_INTERMEDIATE_KEY, &authority->kek, &renewal->intermediate.der, key);
    audit_record_operation(&transaction, "intermediate_renew", "remora-control",
                           authority->trust_domain, NULL);
    return transaction_commit(&transaction, authority->store, on_renewal_commit, renewal);
}

enum rm_err authority_renew(struct authority *authority, struct rm_error *error)
{
    struct renewal *renewal = rm_calloc(1, sizeof *renewal);
    if (renewal == NULL) {
        return rm_error_set(error, RM_ERR_NO_MEMORY, "out of memory");
    }
    struct private_key *key = NULL;
    renewal->authority = authority;
    enum rm_err result = ca_explain(error, key_generate(&key), "a key cannot be made");
    if (result == RM_OK) {
        result = ca_make_intermediate(&renewal->intermediate, &authority->root, key,
                                      authority->trust_domain, error);
    }
    if (result == RM_OK) {
        result = ca_explain(error, renewal_commit(renewal, key),
                            "the renewed intermediate cannot be stored");
    }
    key_unref(key);
    if (result != RM_OK) {
        ca_deinit(&renewal->intermediate);
        rm_free(renewal);
        return result;
    }
    authority->renewal = renewal;
    authority->pending_count++;
    return RM_OK;
}

static void alarm_end(enum alarm_kind kind, const char *what, int64_t left_s, const char *remedy)
{
    char left[CLOCK_DURATION_BYTES];
    char text[ALARM_TEXT_BYTES];
    // Whole days: the same alarm again only counts.
    clock_format_duration(left_s / 86400 * 86400, left);
    snprintf(text, sizeof text, "the %s certificate ends in %s: %s", what, left, remedy);
    alarms_clear(kind);
    alarms_raise(kind, text);
}

static void check_root(const struct authority *authority, int64_t now_s)
{
    int64_t left_s = authority->root.not_after_s - now_s;
    if (left_s < AUTHORITY_ROOT_ALARM_S) {
        alarm_end(ALARM_ROOT_EXPIRES, "root", left_s, "plan a new root for the trust domain");
    } else {
        alarms_clear(ALARM_ROOT_EXPIRES);
    }
}

static void check_intermediate(struct authority *authority, int64_t now_s)
{
    struct rm_error error = {0};
    if (!ca_is_past_half(&authority->intermediate, now_s)) {
        alarms_clear(ALARM_INTERMEDIATE_EXPIRES);
        return;
    }
    if (authority->mode == AUTHORITY_OFFLINE_ROOT) {
        alarm_end(ALARM_INTERMEDIATE_EXPIRES, "intermediate",
                  authority->intermediate.not_after_s - now_s,
                  "have its request signed again and run 'remora-control import-chain FILE'");
    } else if (authority->renewal == NULL && authority_renew(authority, &error) != RM_OK) {
        log_error(LOG_CA, "intermediate_not_renewed", LOG_STR("reason", rm_error_message(&error)));
    }
}

void authority_check_dates(void *context)
{
    struct authority *authority = context;
    int64_t now_s = clock_wall_s();
    check_root(authority, now_s);
    check_intermediate(authority, now_s);
    if (timer_start(&authority->check, AUTHORITY_CHECK_MS) != RM_OK) {
        log_error(LOG_CA, "dates_not_watched", LOG_ERR(RM_ERR_NO_MEMORY));
    }
}
