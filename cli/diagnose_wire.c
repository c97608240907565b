// SPDX-License-Identifier: GPL-3.0-or-later
#include "diagnose_wire.h"

#include "pb/pb.h"
#include "remora/sidecar/v1/local.pb-c.h"

// protobuf-c's structs are not const-correct; packing only reads.
static char *text(const char *borrowed)
{
    return (char *)(uintptr_t)(borrowed != NULL ? borrowed : "");
}

enum rm_err wire_diagnose(const struct wire_diagnose *request, struct wire_bytes *out)
{
    Remora__Sidecar__V1__DiagnoseRequest message = REMORA__SIDECAR__V1__DIAGNOSE_REQUEST__INIT;
    message.target = text(request->target);
    message.service = text(request->service);
    message.expected_identity = text(request->expected);
    message.sni = text(request->sni);
    message.alpn = text(request->alpn);
    return pb_pack(&message.base, WIRE_MAX_BYTES, &out->bytes, &out->length);
}

static enum rm_err visit_step(const Remora__Sidecar__V1__DiagnoseStep *message,
                              const struct wire_diagnose_visitor *visitor)
{
    struct wire_diagnose_step step = {
        .name = message->name,
        .outcome = message->outcome,
        .text = message->text,
        .took_us = message->took_us,
        .fact_count = message->n_facts,
        .message = message,
    };
    return visitor->step(visitor->context, &step);
}

void wire_diagnose_fact(const struct wire_diagnose_step *step, size_t index, const char **key,
                        const char **value)
{
    const Remora__Sidecar__V1__DiagnoseStep *message = step->message;
    *key = message->facts[index]->key;
    *value = message->facts[index]->value;
}

static enum rm_err visit_finding(const Remora__Sidecar__V1__DiagnoseFinding *message,
                                 const struct wire_diagnose_visitor *visitor)
{
    struct wire_diagnose_finding finding = {
        .severity = message->severity,
        .name = message->name,
        .what = message->what,
        .detail = message->detail,
        .cause = message->cause,
        .remedy = message->remedy,
    };
    return visitor->finding(visitor->context, &finding);
}

enum rm_err wire_read_diagnose(const uint8_t *bytes, size_t length,
                               const struct wire_diagnose_visitor *visitor)
{
    ProtobufCMessage *unpacked = NULL;
    RM_TRY(pb_unpack(&remora__sidecar__v1__diagnose_response__descriptor, bytes, length,
                     WIRE_MAX_BYTES, &unpacked, NULL));
    const Remora__Sidecar__V1__DiagnoseResponse *response =
        (const Remora__Sidecar__V1__DiagnoseResponse *)(const void *)unpacked;
    enum rm_err result = RM_OK;
    if (response->step != NULL) {
        result = visit_step(response->step, visitor);
    }
    if (result == RM_OK && response->finding != NULL) {
        result = visit_finding(response->finding, visitor);
    }
    if (result == RM_OK && response->end != NULL) {
        result = visitor->end(visitor->context, response->end->well);
    }
    pb_free(unpacked);
    return result;
}
