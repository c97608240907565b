// SPDX-License-Identifier: GPL-3.0-or-later
//
// remora status, bundle.
#include <errno.h>
#include <string.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "base/file.h"
#include "commands.h"
#include "crypto/certificate.h"
#include "show.h"

// --- Status.

static bool set_authorities(struct json *object, const struct wire_status *answer)
{
    struct json *array = json_array_new();
    bool is_whole = array != NULL;
    for (size_t i = 0; is_whole && i < answer->authority_count; i++) {
        struct wire_authority authority = wire_status_authority(answer, i);
        struct json *entry = json_object_new();
        is_whole = json_set_string(entry, "kind", authority.kind) &&
                   json_set_string(entry, "subject", authority.subject) &&
                   show_set_hex(entry, "key_id", authority.key_id, authority.key_id_length) &&
                   show_set_time(entry, "not_after", "not_after_s", authority.not_after_s) &&
                   json_set_integer(entry, "seconds_left", authority.not_after_s - clock_wall_s());
        is_whole = json_append(array, entry) && is_whole;
    }
    return json_set(object, "authorities", array) && is_whole;
}

static enum cli_exit status_json(const struct wire_status *answer)
{
    struct json *object = json_object_new();
    bool is_whole =
        json_set_string(object, "version", answer->version) &&
        json_set_string(object, "trust_domain", answer->trust_domain) &&
        json_set_string(object, "address", answer->address) &&
        json_set_string(object, "mode", answer->mode) &&
        show_set_text(object, "mode_warning", answer->mode_warning) &&
        show_set_time(object, "started_at", "started_at_s", answer->started_at_s) &&
        show_set_time(object, "now", "now_s", answer->now_ms / 1000) &&
        json_set_integer(object, "uptime_s", answer->now_ms / 1000 - answer->started_at_s) &&
        show_set_hex(object, "store_id", answer->store_id, answer->store_id_length) &&
        json_set_integer(object, "store_version", (int64_t)answer->store_version) &&
        json_set_integer(object, "services", answer->services) &&
        json_set_integer(object, "connected_sidecars", answer->connected_sidecars) &&
        json_set_integer(object, "live_certificates", answer->live_certificates) &&
        set_authorities(object, answer) && show_set_texts(object, "alarms", &answer->alarms);
    return show_json(object, is_whole);
}

static void print_authority(const struct wire_authority *authority)
{
    char key_id[HEX_BYTES(SHOW_MAX_HEX_BYTES)];
    char until[CLOCK_RFC3339_BYTES];
    char left[CLOCK_DURATION_BYTES];
    show_hex(authority->key_id, authority->key_id_length, key_id);
    show_time(authority->not_after_s, until);
    show_left(authority->not_after_s, left);
    show_linef(authority->kind, "%s, key %.16s, until %s (%s)", authority->subject, key_id, until,
               left);
}

static void print_status(const struct wire_status *answer)
{
    char started[CLOCK_RFC3339_BYTES];
    char uptime[CLOCK_DURATION_BYTES];
    char store[HEX_BYTES(SHOW_MAX_HEX_BYTES)];
    show_time(answer->started_at_s, started);
    clock_format_duration(answer->now_ms / 1000 - answer->started_at_s, uptime);
    show_hex(answer->store_id, answer->store_id_length, store);
    show_line("version", answer->version);
    show_line("trust domain", answer->trust_domain);
    show_line("address", answer->address);
    show_line("mode", answer->mode);
    if (answer->mode_warning[0] != '\0') {
        show_line("warning", answer->mode_warning);
    }
    printf("%-19s %s (%s ago)\n", "started", started, uptime);
    printf("%-19s %s, version %llu\n", "store", store, (unsigned long long)answer->store_version);
    printf("%-19s %u\n", "services", (unsigned)answer->services);
    printf("%-19s %u\n", "connected sidecars", (unsigned)answer->connected_sidecars);
    printf("%-19s %u\n", "live certificates", (unsigned)answer->live_certificates);
    for (size_t i = 0; i < answer->authority_count; i++) {
        struct wire_authority authority = wire_status_authority(answer, i);
        print_authority(&authority);
    }
    printf("%-19s %zu\n", "alarms", answer->alarms.count);
    for (size_t i = 0; i < answer->alarms.count; i++) {
        show_line("", answer->alarms.items[i]);
    }
}

static enum rm_err visit_status(void *context, const struct wire_status *answer)
{
    const struct args *args = context;
    if (args->is_json) {
        return status_json(answer) == CLI_OK ? RM_OK : RM_ERR_NO_MEMORY;
    }
    print_status(answer);
    return RM_OK;
}

enum cli_exit status_show(const struct args *args)
{
    struct wire_bytes request = {0};
    struct wire_bytes answer = {0};
    enum cli_exit exit_status = exchange(args, "GetStatus", &request, &answer);
    if (exit_status != CLI_OK) {
        return exit_status;
    }
    enum rm_err result =
        wire_read_status(answer.bytes, answer.length, visit_status, (void *)(uintptr_t)args);
    wire_bytes_deinit(&answer);
    return result == RM_OK ? CLI_OK : show_failure(result);
}

// --- Bundle.

struct bundle_text {
    struct buffer pem;  // every root
    struct json *roots; // each as a PEM string; NULL: no JSON
    char *trust_domain; // owned
};

static enum rm_err append_json_root(struct bundle_text *text, const uint8_t *der, size_t length)
{
    struct buffer pem;
    buffer_init(&pem, BUNDLE_MAX_PEM_BYTES);
    enum rm_err result = pem_append(&pem, "CERTIFICATE", der, length);
    const char *root = buffer_text(&pem);
    if (result == RM_OK && (root == NULL || !json_append_string(text->roots, root))) {
        result = RM_ERR_NO_MEMORY;
    }
    buffer_deinit(&pem);
    return result;
}

static enum rm_err visit_root(void *context, const char *trust_domain, const uint8_t *der,
                              size_t length)
{
    struct bundle_text *text = context;
    if (text->trust_domain == NULL) {
        text->trust_domain = rm_strdup(trust_domain);
        if (text->trust_domain == NULL) {
            return RM_ERR_NO_MEMORY;
        }
    }
    if (text->roots != NULL) {
        RM_TRY(append_json_root(text, der, length));
    }
    return pem_append(&text->pem, "CERTIFICATE", der, length);
}

static enum cli_exit show_bundle(const struct args *args, struct bundle_text *text)
{
    const char *path = args_value(args, "out");
    if (path != NULL) {
        struct rm_error error = {0};
        enum rm_err result = file_write_atomic(path, buffer_data(&text->pem),
                                               buffer_length(&text->pem), 0644, &error);
        if (result != RM_OK) {
            fprintf(stderr, "remora: %s\n", rm_error_message(&error));
            return CLI_REFUSED;
        }
    }
    if (text->roots != NULL) {
        struct json *object = json_object_new();
        bool is_whole = json_set_string(object, "trust_domain", text->trust_domain);
        is_whole = json_set(object, "roots", text->roots) && is_whole;
        text->roots = NULL;
        return show_json(object, is_whole);
    }
    if (path == NULL) {
        fwrite(buffer_data(&text->pem), 1, buffer_length(&text->pem), stdout);
    }
    return CLI_OK;
}

enum cli_exit bundle_show(const struct args *args)
{
    struct wire_bytes request = {0};
    struct wire_bytes answer = {0};
    enum cli_exit exit_status = exchange(args, "GetBundle", &request, &answer);
    if (exit_status != CLI_OK) {
        return exit_status;
    }
    struct bundle_text text = {.roots = args->is_json ? json_array_new() : NULL};
    buffer_init(&text.pem, WIRE_MAX_BYTES);
    enum rm_err result = args->is_json && text.roots == NULL
                             ? RM_ERR_NO_MEMORY
                             : wire_read_bundle(answer.bytes, answer.length, visit_root, &text);
    wire_bytes_deinit(&answer);
    exit_status = result == RM_OK ? show_bundle(args, &text) : show_failure(result);
    json_free(text.roots);
    buffer_deinit(&text.pem);
    rm_free(text.trust_domain);
    return exit_status;
}
