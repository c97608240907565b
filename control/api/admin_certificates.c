// SPDX-License-Identifier: GPL-3.0-or-later
//
// Certificates: list and revoke.
#include <string.h>

#include "api/admin_internal.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "records/record_keys.h"
#include "records/records_wire.h"

const char *admin_certificate_state(const struct certificate_record *certificate,
                                    const uint8_t serial[ISSUE_SERIAL_BYTES],
                                    const struct lineage_record *lineage, int64_t now_s)
{
    bool is_expired = certificate->not_after_s <= now_s;
    if (lineage == NULL) {
        return is_expired ? "expired" : "lapsed";
    }
    if (lineage->state == LINEAGE_REVOKED) {
        return "revoked";
    }
    bool is_newest = memcmp(lineage->serial, serial, ISSUE_SERIAL_BYTES) == 0;
    if (lineage->state == LINEAGE_LAPSED && (is_newest || !is_expired)) {
        return "lapsed";
    }
    if (is_expired) {
        return "expired";
    }
    return is_newest ? "live" : "renewed";
}

// --- List.

struct list_work {
    char *identity;                    // only this one; owned; NULL: all
    struct admin_connected *connected; // owned
    int64_t now_s;                     // when the call came
};

static void work_free(void *context)
{
    struct list_work *work = context;
    rm_free(work->identity);
    if (work->connected != NULL) {
        admin_connected_free(work->connected);
    }
    rm_free(work);
}

static bool is_wanted(const struct admin_call *call, const struct certificate_record *record)
{
    const struct list_work *work = call->work;
    if (!call->request.of.list_certificates.include_expired && record->not_after_s <= work->now_s) {
        return false;
    }
    return work->identity == NULL || strcmp(work->identity, record->identity) == 0;
}

static enum rm_err append_record(struct admin_call *call, const struct certificate_record *record,
                                 const uint8_t serial[ISSUE_SERIAL_BYTES])
{
    const struct list_work *work = call->work;
    const struct lineage_record *lineage =
        attest_lineage(call->api->options.attest, record->lineage);
    const struct admin_instance *instance = admin_connected_serial(work->connected, serial);
    struct admin_certificate certificate = {
        .identity = record->identity,
        .state = admin_certificate_state(record, serial, lineage, work->now_s),
        .last_error = instance != NULL ? instance->last_error : NULL,
        .not_before_s = record->not_before_s,
        .not_after_s = record->not_after_s,
        .next_renewal_s = instance != NULL ? instance->next_renewal_s : 0,
    };
    memcpy(certificate.serial, serial, sizeof certificate.serial);
    memcpy(certificate.lineage, record->lineage, sizeof certificate.lineage);
    return admin_wire_certificate(&call->response, &certificate);
}

static enum rm_err append_certificate(struct admin_call *call, const struct store_entry *entry)
{
    struct certificate_record record;
    uint8_t serial[ISSUE_SERIAL_BYTES];
    RM_TRY(record_key_read_certificate(entry->key, serial));
    RM_TRY(certificate_record_decode(entry->value, entry->value_length, &record));
    enum rm_err result = RM_OK;
    if (is_wanted(call, &record)) {
        result = append_record(call, &record, serial);
    }
    certificate_record_deinit(&record);
    return result;
}

static enum rm_err work_fill(const struct admin_call *call, struct list_work *work)
{
    const char *identity = call->request.of.list_certificates.identity;
    work->now_s = clock_wall_s();
    work->connected = admin_connected_new(call->api->options.push);
    if (work->connected == NULL) {
        return RM_ERR_NO_MEMORY;
    }
    if (identity[0] != '\0') {
        work->identity = admin_full_identity(call->api, identity);
        return work->identity != NULL ? RM_OK : RM_ERR_NO_MEMORY;
    }
    return RM_OK;
}

void admin_list_certificates(struct admin_call *call)
{
    if (!admin_call_set_work(call, rm_calloc(1, sizeof(struct list_work)), work_free)) {
        return;
    }
    enum rm_err result = work_fill(call, call->work);
    if (result != RM_OK) {
        admin_call_fail(call, result, NULL);
        return;
    }
    admin_call_scan(call, RECORD_CERTIFICATE_PREFIX, append_certificate, admin_call_answer);
}

// --- Revoke.

static void on_revoked(void *context, enum rm_err result, const uint8_t lineage[LINEAGE_BYTES],
                       const char *identity, uint32_t certificate_count)
{
    struct admin_call *call = context;
    if (!admin_call_resume(call)) {
        return;
    }
    if (result == RM_ERR_NOT_FOUND) {
        admin_call_refuse(call, RPC_NOT_FOUND,
                          "no certificate of this control plane has that serial");
    } else if (result != RM_OK) {
        admin_call_fail(call, result, "the store did not take the revocation: NOTHING WAS REVOKED");
    } else {
        admin_call_answer_if(
            call, admin_wire_revoked(&call->response, lineage, identity, certificate_count));
    }
}

void admin_revoke_certificate(struct admin_call *call)
{
    const struct admin_revoke_certificate *request = &call->request.of.revoke_certificate;
    if (request->serial_length != ISSUE_SERIAL_BYTES) {
        admin_call_refuse(call, RPC_INVALID_ARGUMENT, "a serial of this mesh has %d bytes, not %zu",
                          ISSUE_SERIAL_BYTES, request->serial_length);
        return;
    }
    enum rm_err result =
        attest_revoke(call->api->options.attest, request->serial, request->serial_length,
                      request->reason, call->actor, on_revoked, call);
    if (result == RM_ERR_NOT_FOUND) {
        admin_call_refuse(call, RPC_NOT_FOUND,
                          "no certificate of this control plane has that serial");
    } else if (result != RM_OK) {
        admin_call_fail(call, result, NULL);
    } else {
        admin_call_wait(call);
    }
}
