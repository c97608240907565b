// SPDX-License-Identifier: GPL-3.0-or-later
#include "base/alloc.h"
#include "local/local_wire.h"
#include "pb/pb.h"
#include "remora/sidecar/v1/local.pb-c.h"

// protobuf-c's structs are not const-correct; packing only reads.
static char *text(const char *borrowed)
{
    return (char *)(uintptr_t)borrowed;
}

static enum rm_err append(struct buffer *out, const Remora__Sidecar__V1__DiagnoseResponse *response)
{
    uint8_t *bytes = NULL;
    size_t length = 0;
    RM_TRY(pb_pack(&response->base, out->max_bytes, &bytes, &length));
    enum rm_err result = buffer_append(out, bytes, length);
    rm_free(bytes);
    return result;
}

enum rm_err local_wire_diagnose_step(struct buffer *out, const struct diagnose_step *step)
{
    Remora__Sidecar__V1__DiagnoseResponse response = REMORA__SIDECAR__V1__DIAGNOSE_RESPONSE__INIT;
    Remora__Sidecar__V1__DiagnoseStep message = REMORA__SIDECAR__V1__DIAGNOSE_STEP__INIT;
    Remora__Sidecar__V1__DiagnoseFact facts[DIAGNOSE_MAX_FACTS];
    Remora__Sidecar__V1__DiagnoseFact *list[DIAGNOSE_MAX_FACTS];
    for (size_t i = 0; i < step->fact_count; i++) {
        remora__sidecar__v1__diagnose_fact__init(&facts[i]);
        facts[i].key = text(step->facts[i].key);
        facts[i].value = text(step->facts[i].value);
        list[i] = &facts[i];
    }
    message.name = text(step->name);
    message.outcome = text(diagnose_outcome_name(step->outcome));
    message.text = text(step->text);
    message.took_us = step->took_us;
    message.n_facts = step->fact_count;
    message.facts = list;
    response.step = &message;
    return append(out, &response);
}

enum rm_err local_wire_diagnose_finding(struct buffer *out, const struct diagnose_finding *finding)
{
    Remora__Sidecar__V1__DiagnoseResponse response = REMORA__SIDECAR__V1__DIAGNOSE_RESPONSE__INIT;
    Remora__Sidecar__V1__DiagnoseFinding message = REMORA__SIDECAR__V1__DIAGNOSE_FINDING__INIT;
    const struct fault_entry *fault = fault_entry(finding->fault);
    message.severity = text(diagnose_severity_name(finding->severity));
    message.name = text(fault->name);
    message.what = text(fault->what);
    message.detail = text(finding->detail);
    message.cause = text(fault->cause);
    message.remedy = text(fault->remedy);
    response.finding = &message;
    return append(out, &response);
}

enum rm_err local_wire_diagnose_end(struct buffer *out, bool is_well)
{
    Remora__Sidecar__V1__DiagnoseResponse response = REMORA__SIDECAR__V1__DIAGNOSE_RESPONSE__INIT;
    Remora__Sidecar__V1__DiagnoseEnd message = REMORA__SIDECAR__V1__DIAGNOSE_END__INIT;
    message.well = is_well;
    response.end = &message;
    return append(out, &response);
}
