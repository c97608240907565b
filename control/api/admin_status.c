// SPDX-License-Identifier: GPL-3.0-or-later
//
// Status and trust bundle.
#include <stdio.h>
#include <string.h>

#include "api/admin_internal.h"
#include "audit/alarms.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/utf8.h"
#include "base/version.h"
#include "crypto/certificate.h"
#include "mesh/view.h"

#define ALARM_LINE_BYTES (ALARM_TEXT_BYTES + 128) // with its time and count

bool admin_lineage_is_live(const struct lineage_record *record, int64_t now_s)
{
    return record->state == LINEAGE_LIVE && record->not_after_s > now_s;
}

struct live_count {
    int64_t now_s;  // when the call came
    uint32_t count; // of live certificates
};

static void visit_lineage(void *context, const uint8_t lineage[LINEAGE_BYTES],
                          const struct lineage_record *record)
{
    struct live_count *live = context;
    (void)lineage;
    live->count += admin_lineage_is_live(record, live->now_s) ? 1 : 0;
}

static char *alarm_line(const struct alarm *alarm)
{
    char *line = rm_malloc(ALARM_LINE_BYTES);
    if (line == NULL) {
        return NULL;
    }
    char when[CLOCK_RFC3339_BYTES];
    clock_format_rfc3339(alarm->last_s * 1000, 0, when);
    int length = snprintf(line, ALARM_LINE_BYTES, "%s %s: %s", when, alarm_kind_name(alarm->kind),
                          alarm->text);
    if (alarm->count > 1 && length > 0 && length < ALARM_LINE_BYTES) {
        snprintf(line + length, ALARM_LINE_BYTES - (size_t)length, " (%llu times)",
                 (unsigned long long)alarm->count);
    }
    utf8_repair(line); // an alarm may quote what a peer sent, and a text on the wire must be UTF-8
    return line;
}

static enum rm_err make_alarms(char *lines[ALARMS_MAX], size_t *count)
{
    for (; *count < alarms_count(); (*count)++) {
        lines[*count] = alarm_line(alarms_at(*count));
        if (lines[*count] == NULL) {
            return RM_ERR_NO_MEMORY;
        }
    }
    return RM_OK;
}

static enum rm_err read_authority(const char *kind, const struct der *der,
                                  struct certificate *certificate, struct admin_authority *out)
{
    RM_TRY(certificate_parse(der->bytes, der->length, certificate, NULL));
    out->kind = kind;
    out->subject = certificate->subject;
    out->not_after_s = certificate->not_after_s;
    memcpy(out->key_id, certificate->spki_id, sizeof out->key_id);
    return RM_OK;
}

static void fill_mode(const struct authority *authority, struct admin_status *status)
{
    if (authority_mode_of(authority) == AUTHORITY_SELF) {
        status->mode = "self";
        status->mode_warning = "the root key is online";
    } else {
        status->mode = "offline-root";
        status->mode_warning = "";
    }
}

static enum rm_err append_status(struct admin_call *call, struct admin_status *status)
{
    const struct authority *authority = call->api->options.authority;
    struct certificate root = {0};
    struct certificate intermediate = {0};
    struct admin_authority authorities[2];
    enum rm_err result = read_authority("root", authority_root(authority), &root, &authorities[0]);
    if (result == RM_OK) {
        result = read_authority("intermediate", authority_intermediate(authority), &intermediate,
                                &authorities[1]);
    }
    if (result == RM_OK) {
        status->authorities = authorities;
        status->authority_count = 2;
        result = admin_wire_status(&call->response, status);
    }
    certificate_deinit(&root);
    certificate_deinit(&intermediate);
    return result;
}

void admin_get_status(struct admin_call *call)
{
    const struct admin_api_options *options = &call->api->options;
    char *alarms[ALARMS_MAX];
    struct live_count live = {.now_s = clock_wall_s()};
    attest_each_lineage(options->attest, visit_lineage, &live);
    struct admin_status status = {
        .version = REMORA_VERSION,
        .trust_domain = options->trust_domain,
        .address = options->address,
        .started_at_s = options->started_at_s,
        .now_ms = clock_wall_ms(),
        .store_id = store_id(options->store),
        .store_version = store_revision(options->store),
        .connected_sidecars = (uint32_t)push_session_count(options->push),
        .live_certificates = live.count,
        .services = (uint32_t)mesh_view_count(registry_view(options->registry), MESH_SERVICE),
        .alarms = alarms,
    };
    fill_mode(options->authority, &status);
    enum rm_err result = make_alarms(alarms, &status.alarm_count);
    if (result == RM_OK) {
        result = append_status(call, &status);
    }
    for (size_t i = 0; i < status.alarm_count; i++) {
        rm_free(alarms[i]);
    }
    admin_call_answer_if(call, result);
}

static enum rm_err append_bundle(struct admin_call *call)
{
    const char *name = call->api->options.trust_domain;
    const struct trust_domain *domain =
        trust_domain_find(authority_trust(call->api->options.authority), name, strlen(name));
    if (domain == NULL) {
        return RM_ERR_INTERNAL;
    }
    RM_TRY(admin_wire_bundle_domain(&call->response, name));
    for (size_t i = 0; i < domain->root_count; i++) {
        RM_TRY(admin_wire_bundle_root(&call->response, domain->roots[i].der,
                                      domain->roots[i].der_length));
    }
    return RM_OK;
}

void admin_get_bundle(struct admin_call *call)
{
    admin_call_answer_if(call, append_bundle(call));
}
