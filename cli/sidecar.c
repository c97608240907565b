// SPDX-License-Identifier: GPL-3.0-or-later
//
// remora sidecar status, certificates, log-level, renew.
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "commands.h"
#include "show.h"
#include "sidecar_view.h"
#include "sidecar_wire.h"

// --- Status.

static struct json *bundles_json(const struct wire_sidecar_status *status)
{
    struct json *array = json_array_new();
    bool is_whole = array != NULL;
    for (size_t i = 0; is_whole && i < status->bundle_count; i++) {
        const struct wire_bundle bundle = wire_status_bundle(status, i);
        is_whole = json_append(array, show_bundle_json(&bundle));
    }
    if (!is_whole) {
        json_free(array);
        return NULL;
    }
    return array;
}

static bool set_level(struct json *object, const struct wire_log_level *level)
{
    return json_set_string(object, "log_level", level->level) &&
           json_set_string(object, "log_level_configured", level->configured) &&
           show_set_time(object, "log_level_falls_back_at", "log_level_falls_back_at_s",
                         level->falls_back_at_s);
}

static bool set_control(struct json *object, const struct wire_sidecar_status *status)
{
    if (status->control_address[0] == '\0') {
        return json_set_string(object, "control", NULL) && json_set_string(object, "view", NULL);
    }
    struct json *control = json_object_new();
    bool is_whole = json_set_string(control, "address", status->control_address) &&
                    json_set_bool(control, "connected", status->is_connected) &&
                    json_set_integer(control, "clock_offset_ms", status->clock_offset_ms);
    is_whole = json_set(object, "control", control) && is_whole;
    return is_whole && json_set(object, "view", show_view_version_json(&status->view));
}

static enum cli_exit status_json(const struct wire_sidecar_status *status)
{
    struct json *object = json_object_new();
    bool is_whole = json_set_string(object, "version", status->version) &&
                    show_set_text(object, "identity", status->identity) &&
                    json_set_bool(object, "ready", status->is_ready) &&
                    show_set_text(object, "waits_for", status->waits_for) &&
                    json_set_string(object, "config", status->config_path) &&
                    show_set_time(object, "started_at", "started_at_s", status->started_at_s) &&
                    show_set_time(object, "now", "now_s", status->now_ms / 1000) &&
                    json_set_integer(object, "workers", status->workers) &&
                    set_level(object, &status->log_level) && set_control(object, status) &&
                    json_set(object, "bundles", bundles_json(status));
    return show_json(object, is_whole);
}

static void print_level(const struct wire_log_level *level)
{
    char left[CLOCK_DURATION_BYTES];
    show_left(level->falls_back_at_s, left);
    if (level->falls_back_at_s != 0) {
        show_linef("log level", "%s (%s again in %s)", level->level, level->configured, left);
    } else if (strcmp(level->level, level->configured) != 0) {
        show_linef("log level", "%s (configured: %s)", level->level, level->configured);
    } else {
        show_line("log level", level->level);
    }
}

static void print_bundles(const struct wire_sidecar_status *status)
{
    for (size_t i = 0; i < status->bundle_count; i++) {
        const struct wire_bundle bundle = wire_status_bundle(status, i);
        for (size_t k = 0; k < bundle.key_id_count; k++) {
            char key_id[HEX_BYTES(SHOW_MAX_HEX_BYTES)];
            const struct wire_binary binary = wire_bundle_key_id(&bundle, k);
            show_hex(binary.bytes, binary.length, key_id);
            show_linef("root", "%s, key %.16s%s%s", bundle.trust_domain, key_id,
                       bundle.own_name[0] != '\0' ? ", for " : "", bundle.own_name);
        }
    }
}

// An offset below a second is as likely the time that the answer took.
static void print_control(const struct wire_sidecar_status *status)
{
    char offset[64] = "";
    long long offset_s = (long long)(status->clock_offset_ms / 1000);
    if (offset_s != 0) {
        snprintf(offset, sizeof offset, ", its clock is %lld s %s ours",
                 offset_s > 0 ? offset_s : -offset_s, offset_s > 0 ? "ahead of" : "behind");
    }
    show_linef("control plane", "%s, %s%s", status->control_address,
               status->is_connected ? "connected" : "not connected", offset);
}

static void print_status(const struct wire_sidecar_status *status)
{
    char started[CLOCK_RFC3339_BYTES];
    char uptime[CLOCK_DURATION_BYTES];
    show_time(status->started_at_s, started);
    clock_format_duration(status->now_ms / 1000 - status->started_at_s, uptime);
    show_line("version", status->version);
    show_line("identity", status->identity[0] != '\0' ? status->identity : "none yet");
    if (status->is_ready) {
        show_line("ready", "yes");
    } else {
        show_linef("ready", "no, it waits for %s", status->waits_for);
    }
    show_line("configuration", status->config_path);
    show_linef("started", "%s (%s ago)", started, uptime);
    show_linef("workers", "%u", (unsigned)status->workers);
    print_level(&status->log_level);
    if (status->control_address[0] != '\0') {
        print_control(status);
        show_view_version(&status->view);
    }
    print_bundles(status);
}

static enum rm_err visit_status(void *context, const struct wire_sidecar_status *status)
{
    const struct args *args = context;
    if (args->is_json) {
        return status_json(status) == CLI_OK ? RM_OK : RM_ERR_NO_MEMORY;
    }
    print_status(status);
    return RM_OK;
}

enum cli_exit sidecar_status(const struct args *args)
{
    struct wire_bytes request = {0};
    struct wire_bytes answer = {0};
    enum cli_exit exit_status = exchange_sidecar(args, "GetStatus", &request, &answer);
    if (exit_status != CLI_OK) {
        return exit_status;
    }
    enum rm_err result = wire_read_sidecar_status(answer.bytes, answer.length, visit_status,
                                                  (void *)(uintptr_t)args);
    wire_bytes_deinit(&answer);
    return result == RM_OK ? CLI_OK : show_failure(result);
}

// --- Certificates.

static enum rm_err certificate_row(void *context, const struct wire_own_certificate *certificate)
{
    struct table *table = context;
    char serial[HEX_BYTES(SHOW_MAX_HEX_BYTES)];
    char not_after[CLOCK_RFC3339_BYTES];
    char left[CLOCK_DURATION_BYTES];
    char renewal[CLOCK_RFC3339_BYTES];
    show_hex(certificate->serial.bytes, certificate->serial.length, serial);
    show_time(certificate->not_after_s, not_after);
    show_left(certificate->not_after_s, left);
    show_time(certificate->next_renewal_s, renewal);
    table_add(table, certificate->name);
    table_add(table, certificate->identity);
    table_add(table, serial);
    table_add(table, not_after);
    table_add(table, left);
    table_add(table, renewal);
    table_add(table, certificate->source);
    table_add(table, certificate->last_error);
    return RM_OK;
}

static struct json *certificate_json(const struct wire_own_certificate *certificate)
{
    struct json *object = json_object_new();
    if (object != NULL && show_set_text(object, "name", certificate->name) &&
        show_set_text(object, "identity", certificate->identity) &&
        show_set_hex(object, "serial", certificate->serial.bytes, certificate->serial.length) &&
        show_set_time(object, "not_before", "not_before_s", certificate->not_before_s) &&
        show_set_time(object, "not_after", "not_after_s", certificate->not_after_s) &&
        show_set_seconds_left(object, certificate->not_after_s) &&
        show_set_time(object, "next_renewal", "next_renewal_s", certificate->next_renewal_s) &&
        json_set_string(object, "source", certificate->source) &&
        show_set_text(object, "last_error", certificate->last_error)) {
        return object;
    }
    json_free(object);
    return NULL;
}

static enum rm_err certificate_entry(void *context, const struct wire_own_certificate *certificate)
{
    return json_append(context, certificate_json(certificate)) ? RM_OK : RM_ERR_NO_MEMORY;
}

static enum rm_err read_certificates(const struct wire_bytes *answer, bool is_json, void *target)
{
    return wire_read_own_certificates(answer->bytes, answer->length, true,
                                      is_json ? certificate_entry : certificate_row, target);
}

enum cli_exit sidecar_certificates(const struct args *args)
{
    static const char *const heading[] = {"NAME",  "IDENTITY",     "SERIAL", "NOT AFTER",
                                          ">LEFT", "NEXT RENEWAL", "SOURCE", "LAST ERROR"};
    static const struct list_view view = {
        .peer = EXCHANGE_SIDECAR,
        .method = "ListCertificates",
        .key = "certificates",
        .hint = "no certificates",
        .heading = heading,
        .column_count = sizeof heading / sizeof *heading,
        .read = read_certificates,
    };
    struct wire_bytes request = {0};
    return show_list(args, &view, &request);
}

// --- Renew.

static enum rm_err visit_renewed(void *context, const struct wire_own_certificate *certificate)
{
    const struct args *args = context;
    char serial[HEX_BYTES(SHOW_MAX_HEX_BYTES)];
    char not_after[CLOCK_RFC3339_BYTES];
    char left[CLOCK_DURATION_BYTES];
    if (args->is_json) {
        struct json *object = certificate_json(certificate);
        return show_json(object, object != NULL) == CLI_OK ? RM_OK : RM_ERR_NO_MEMORY;
    }
    show_hex(certificate->serial.bytes, certificate->serial.length, serial);
    show_time(certificate->not_after_s, not_after);
    show_left(certificate->not_after_s, left);
    char *identity = printable_dup(certificate->identity);
    printf("certificate %s of %s is in force until %s (%s)\n", serial,
           identity != NULL ? identity : "?", not_after, left);
    rm_free(identity);
    return RM_OK;
}

enum cli_exit sidecar_renew(const struct args *args)
{
    const char *name = args_value(args, "name");
    struct wire_bytes request = {0};
    struct wire_bytes answer = {0};
    enum rm_err result = wire_renew(name != NULL ? name : "", &request);
    if (result != RM_OK) {
        return show_unsendable(result);
    }
    enum cli_exit status = exchange_sidecar(args, "Renew", &request, &answer);
    if (status != CLI_OK) {
        return status;
    }
    result = wire_read_own_certificates(answer.bytes, answer.length, false, visit_renewed,
                                        (void *)(uintptr_t)args);
    wire_bytes_deinit(&answer);
    return result == RM_OK ? CLI_OK : show_failure(result);
}

// --- Log level.

static enum rm_err visit_level(void *context, const struct wire_log_level *level,
                               const char *before)
{
    const struct args *args = context;
    char left[CLOCK_DURATION_BYTES];
    if (args->is_json) {
        struct json *object = json_object_new();
        bool is_whole = set_level(object, level) && json_set_string(object, "before", before);
        return show_json(object, is_whole) == CLI_OK ? RM_OK : RM_ERR_NO_MEMORY;
    }
    show_left(level->falls_back_at_s, left);
    if (level->falls_back_at_s != 0) {
        printf("log level %s (before: %s), %s again in %s\n", level->level, before,
               level->configured, left);
    } else {
        printf("log level %s (before: %s), until the configuration is read again\n", level->level,
               before);
    }
    return RM_OK;
}

static enum cli_exit read_duration(const struct args *args, uint32_t *duration_s)
{
    const char *text = args_value(args, "for");
    struct rm_error error = {0};
    int64_t duration_ms = 0;
    *duration_s = 0;
    if (text == NULL) {
        return CLI_OK;
    }
    if (duration_parse(text, &duration_ms, &error) != RM_OK) {
        fprintf(stderr, "remora: --for: %s\n", rm_error_message(&error));
        return CLI_USAGE;
    }
    if (duration_ms < 1000 || duration_ms > INT64_C(86400000)) {
        fputs("remora: --for is 1s to 24h\n", stderr);
        return CLI_USAGE;
    }
    *duration_s = (uint32_t)(duration_ms / 1000);
    return CLI_OK;
}

enum cli_exit sidecar_log_level(const struct args *args)
{
    uint32_t duration_s = 0;
    struct wire_bytes request = {0};
    struct wire_bytes answer = {0};
    enum cli_exit status = read_duration(args, &duration_s);
    if (status != CLI_OK) {
        return status;
    }
    enum rm_err result = wire_set_log_level(args->argument, duration_s, &request);
    if (result != RM_OK) {
        return show_unsendable(result);
    }
    status = exchange_sidecar(args, "SetLogLevel", &request, &answer);
    if (status != CLI_OK) {
        return status;
    }
    result = wire_read_log_level(answer.bytes, answer.length, visit_level, (void *)(uintptr_t)args);
    wire_bytes_deinit(&answer);
    return result == RM_OK ? CLI_OK : show_failure(result);
}
