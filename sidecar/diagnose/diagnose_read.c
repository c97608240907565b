// SPDX-License-Identifier: GPL-3.0-or-later
//
// What looks say, one by one and held against each other.
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "diagnose/diagnose_internal.h"

#define ALERT_MISSING_EXTENSION 109
#define ALERT_UNRECOGNIZED_NAME 112
#define ALERT_NO_APPLICATION_PROTOCOL 120
#define CLOCK_NOTABLE_S 30 // half of how far certificates are dated back

// --- Ourselves
// -----------------------------------------------------------------------------------

void read_own_certificate(struct diagnosis *diagnosis)
{
    const struct tls_identity *identity = diagnosis->own.identity;
    int64_t now_s = clock_wall_s();
    char left[CLOCK_DURATION_BYTES];
    struct diagnose_step step = step_new("own_certificate", DIAGNOSE_PASSED);
    if (identity == NULL) {
        step.outcome = DIAGNOSE_FAILED;
        step_say(&step, "there is none yet");
        finding_add(diagnosis, FAULT_IDENTITY_MISSING, "%s", "");
        step_tell(diagnosis, &step);
        return;
    }
    const char *id = identity->spiffe_id != NULL ? identity->spiffe_id : "without SPIFFE ID";
    clock_format_duration(identity->not_after_s - now_s, left);
    step_say(&step, "%s, ends in %s", id, left);
    step_add(&step, "spiffe_id", "%s", id);
    step_add(&step, "left", "%s", left);
    if (now_s < identity->not_before_s || now_s > identity->not_after_s) {
        step.outcome = DIAGNOSE_FAILED;
        finding_add(diagnosis, FAULT_OWN_CERTIFICATE_EXPIRED, "%s: left %s", id, left);
    }
    step_tell(diagnosis, &step);
}

// --- The first look
// ------------------------------------------------------------------------------

static void tell_hello(struct diagnosis *diagnosis, const struct tls_probe_report *report)
{
    char version[TLS_PROBE_NAME_BYTES];
    char suite[TLS_PROBE_NAME_BYTES];
    char group[TLS_PROBE_NAME_BYTES];
    const struct tls_probe_hello *hello = &report->hello;
    struct diagnose_step step =
        step_new("handshake", report->result == RM_OK ? DIAGNOSE_PASSED : DIAGNOSE_FAILED);
    step.took_us = report->handshake_us;
    tls_probe_version_name(hello->version, version);
    tls_probe_suite_name(hello->suite, suite);
    tls_probe_group_name(hello->group, group);
    if (hello->is_there) {
        step_add(&step, "version", "%s", version);
        step_add(&step, "suite", "%s", suite);
        step_add(&step, "group", "%s", group);
        step_add(&step, "retried", "%s", hello->has_retried ? "true" : "false");
        step_add(&step, "alpn", "%s", report->alpn);
        step_add(&step, "sni", "%s", diagnosis->sni != NULL ? diagnosis->sni : "");
        step_say(&step, "%s, %s, %s%s, ALPN %s", version, suite, group,
                 hello->has_retried ? " (after a retry)" : "",
                 report->alpn[0] != '\0' ? report->alpn : "none");
    } else {
        step_say(&step, "%s: %s", tls_failure_name(&report->failure), report->failure.detail);
    }
    step_tell(diagnosis, &step);
}

static void note_failure(struct diagnosis *diagnosis, const struct tls_probe_report *report)
{
    uint8_t alert = report->failure.alert_received;
    if (diagnosis->sni == NULL &&
        (alert == ALERT_MISSING_EXTENSION || alert == ALERT_UNRECOGNIZED_NAME)) {
        finding_add(diagnosis, FAULT_SNI_WANTED, "alert %s", tls_alert_name(alert));
    } else if (diagnosis->alpn != NULL && alert == ALERT_NO_APPLICATION_PROTOCOL) {
        finding_add(diagnosis, FAULT_ALPN_MISSING, "wanted %s, it refuses", diagnosis->alpn);
    } else if (report->failure.fault != FAULT_OK) {
        finding_add_failure(diagnosis, &report->failure);
    }
}

static void note_hello(struct diagnosis *diagnosis, const struct tls_probe_report *report)
{
    char group[TLS_PROBE_NAME_BYTES];
    tls_probe_group_name(report->hello.group, group);
    if (report->hello.has_retried) {
        finding_add(diagnosis, FAULT_GROUP_NEEDS_RETRY, "it wants %s", group);
    }
    if (report->result != RM_OK) {
        return;
    }
    if (diagnosis->alpn != NULL && strcmp(diagnosis->alpn, report->alpn) != 0) {
        finding_add(diagnosis, FAULT_ALPN_MISSING, "wanted %s, found %s", diagnosis->alpn,
                    report->alpn[0] != '\0' ? report->alpn : "none");
    } else if (diagnosis->alpn == NULL && report->alpn[0] == '\0') {
        finding_add(diagnosis, FAULT_ALPN_IGNORED, "%s", "");
    }
}

void read_main(struct diagnosis *diagnosis, const struct tls_probe_report *report)
{
    tell_hello(diagnosis, report);
    if (report->judgement.fault != FAULT_OK) {
        finding_add_failure(diagnosis, &report->judgement);
    }
    note_failure(diagnosis, report);
    note_hello(diagnosis, report);
    if (report->chain_count > 0) {
        read_chain(diagnosis, report);
    }
}

// --- Several looks
// -------------------------------------------------------------------------------

// How the server met a look, in a word or two.
static void describe_look(const struct look *look, char *out, size_t out_bytes)
{
    const struct tls_probe_report *report = &look->report;
    if (!look->is_made) {
        snprintf(out, out_bytes, "no connection");
    } else if (report->result != RM_OK || report->is_refused) {
        uint8_t alert = report->failure.alert_received;
        snprintf(out, out_bytes, "refused: %s",
                 alert != 0 ? tls_alert_name(alert) : tls_failure_name(&report->failure));
    } else {
        snprintf(out, out_bytes, "%s", report->is_confirmed ? "accepted" : "not refused");
    }
}

static bool look_is_good(const struct look *look)
{
    return look->is_made && look->report.result == RM_OK && !look->report.is_refused;
}

void read_client_certificate(struct diagnosis *diagnosis)
{
    char with[64];
    char without[64];
    const struct look *shown = &diagnosis->looks[LOOK_MAIN];
    const struct look *anonymous = &diagnosis->looks[LOOK_ANONYMOUS];
    bool is_wanted = shown->report.is_certificate_wanted;
    struct diagnose_step step = step_new("client_certificate", DIAGNOSE_PASSED);
    describe_look(shown, with, sizeof(with));
    describe_look(anonymous, without, sizeof(without));
    step_add(&step, "wanted", "%s", is_wanted ? "true" : "false");
    step_add(&step, "ours", "%s", with);
    step_add(&step, "none", "%s", without);
    if (shown->report.result != RM_OK) {
        step.outcome = DIAGNOSE_SKIPPED;
        step_say(&step, "the handshake did not come so far");
    } else if (!is_wanted) {
        step_say(&step, "it asks for none");
        finding_add(diagnosis, FAULT_CLIENT_CERTIFICATE_NOT_WANTED, "%s", "");
    } else {
        step.outcome = look_is_good(shown) ? DIAGNOSE_PASSED : DIAGNOSE_FAILED;
        step_say(&step, "it asks for one; ours: %s; none: %s", with, without);
    }
    step_tell(diagnosis, &step);
}

void read_sni(struct diagnosis *diagnosis)
{
    char without[64];
    const struct look *with = &diagnosis->looks[LOOK_MAIN];
    const struct look *bare = &diagnosis->looks[LOOK_NO_SNI];
    struct diagnose_step step =
        step_new("sni", look_is_good(with) ? DIAGNOSE_PASSED : DIAGNOSE_FAILED);
    if (diagnosis->sni == NULL) {
        step.outcome = DIAGNOSE_SKIPPED;
        step_say(&step, "no name to send: an address was asked for, and nobody expected");
        step_tell(diagnosis, &step);
        return;
    }
    bool is_other = with->has_leaf && bare->has_leaf &&
                    memcmp(with->leaf_hash, bare->leaf_hash, sizeof(with->leaf_hash)) != 0;
    char named[64];
    describe_look(with, named, sizeof(named));
    describe_look(bare, without, sizeof(without));
    step_add(&step, "name", "%s", diagnosis->sni);
    step_add(&step, "with", "%s", named);
    step_add(&step, "without", "%s", without);
    step_add(&step, "certificate_without", "%s",
             !bare->has_leaf ? "none" : (is_other ? "another" : "the same"));
    step_say(&step, "with %s: %s; without: %s%s", diagnosis->sni, named, without,
             is_other ? ", with another certificate" : "");
    step_tell(diagnosis, &step);
}

void read_alpn(struct diagnosis *diagnosis)
{
    static const struct {
        enum look_kind kind;
        const char *key;   // of the fact
        const char *title; // for people
    } rows[] = {{LOOK_TUNNEL, "remora_1", "remora/1"},
                {LOOK_H2, "h2", "h2"},
                {LOOK_HTTP, "http_1_1", "http/1.1"},
                {LOOK_NO_ALPN, "none", "none"}};
    struct diagnose_step step = step_new("alpn", DIAGNOSE_PASSED);
    char line[DIAGNOSE_VALUE_BYTES] = "";
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct look *look = &diagnosis->looks[rows[i].kind];
        char met[64];
        describe_look(look, met, sizeof(met));
        if (look->is_made && look->report.result == RM_OK && rows[i].kind != LOOK_NO_ALPN) {
            snprintf(met, sizeof(met), "%s", look->report.alpn[0] != '\0' ? "chosen" : "ignored");
        }
        size_t length = strlen(line);
        snprintf(line + length, sizeof(line) - length, "%s%s: %s", i > 0 ? "; " : "", rows[i].title,
                 met);
        step_add(&step, rows[i].key, "%s", met);
    }
    step_say(&step, "%s", line);
    step_tell(diagnosis, &step);
}

void read_tickets(struct diagnosis *diagnosis)
{
    const struct tls_probe_report *report = &diagnosis->looks[LOOK_MAIN].report;
    struct diagnose_step step =
        step_new("tickets", report->result == RM_OK ? DIAGNOSE_PASSED : DIAGNOSE_SKIPPED);
    step_add(&step, "count", "%u", report->ticket_count);
    if (report->result != RM_OK) {
        step_say(&step, "the handshake did not come so far");
    } else if (report->ticket_count == 0) {
        step_say(&step, "none: each connection is a full handshake");
    } else {
        step_say(&step, "%u: sessions can be resumed", report->ticket_count);
    }
    step_tell(diagnosis, &step);
}

// --- Clocks
// --------------------------------------------------------------------------------------

static void note_offset(struct diagnosis *diagnosis, struct diagnose_step *step, const char *key,
                        const char *whose, int64_t offset_s)
{
    char difference[CLOCK_DURATION_BYTES];
    clock_format_duration(llabs(offset_s), difference);
    size_t length = strlen(step->text);
    step_add(step, key, "%" PRId64, offset_s);
    snprintf(step->text + length, sizeof(step->text) - length, "%s%s clock is %s%s",
             length > 0 ? "; " : "", whose, llabs(offset_s) <= 1 ? "like ours" : difference,
             llabs(offset_s) <= 1 ? "" : (offset_s > 0 ? " ahead of ours" : " behind ours"));
    if (llabs(offset_s) >= CLOCK_NOTABLE_S) {
        step->outcome = DIAGNOSE_FAILED;
        finding_add(diagnosis, FAULT_CLOCK_DIFFERS, "%s clock is %s %s ours", whose, difference,
                    offset_s > 0 ? "ahead of" : "behind");
    }
}

void read_clock(struct diagnosis *diagnosis)
{
    struct diagnose_step step = step_new("clock", DIAGNOSE_PASSED);
    int64_t date_s = diagnosis->looks[LOOK_HTTP].report.date_s;
    if (date_s != 0) {
        note_offset(diagnosis, &step, "server_offset_s", "its (Date header)",
                    date_s - clock_wall_s());
    }
    if (diagnosis->snapshot->config->control.address != NULL) {
        note_offset(diagnosis, &step, "control_offset_s", "the control plane's",
                    diagnosis->control_offset_ms / 1000);
    }
    if (step.text[0] == '\0') {
        step.outcome = DIAGNOSE_SKIPPED;
        step_say(&step, "it tells no time; the dates of its certificates are above");
    }
    step_tell(diagnosis, &step);
}
