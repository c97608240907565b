// SPDX-License-Identifier: GPL-3.0-or-later
//
// remora certificates, identities, revoke.
#include <string.h>

#include "base/alloc.h"
#include "commands.h"
#include "identity/peer.h"
#include "show.h"

// --- Certificates.

static enum rm_err certificate_row(void *context, const struct wire_certificate *certificate)
{
    struct table *table = context;
    char serial[HEX_BYTES(SHOW_MAX_HEX_BYTES)];
    char not_after[CLOCK_RFC3339_BYTES];
    char left[CLOCK_DURATION_BYTES];
    char renewal[CLOCK_RFC3339_BYTES];
    show_hex(certificate->serial, certificate->serial_length, serial);
    show_time(certificate->not_after_s, not_after);
    show_left(certificate->not_after_s, left);
    show_time(certificate->next_renewal_s, renewal);
    table_add(table, serial);
    table_add(table, certificate->identity);
    table_add(table, certificate->state);
    table_add(table, not_after);
    table_add(table, left);
    table_add(table, renewal);
    table_add(table, certificate->last_error);
    return RM_OK;
}

static enum rm_err certificate_entry(void *context, const struct wire_certificate *certificate)
{
    struct json *object = json_object_new();
    bool is_whole =
        show_set_hex(object, "serial", certificate->serial, certificate->serial_length) &&
        show_set_hex(object, "lineage", certificate->lineage, certificate->lineage_length) &&
        json_set_string(object, "identity", certificate->identity) &&
        json_set_string(object, "state", certificate->state) &&
        show_set_time(object, "not_before", "not_before_s", certificate->not_before_s) &&
        show_set_time(object, "not_after", "not_after_s", certificate->not_after_s) &&
        json_set_integer(object, "seconds_left", certificate->not_after_s - clock_wall_s()) &&
        show_set_time(object, "next_renewal", "next_renewal_s", certificate->next_renewal_s) &&
        show_set_text(object, "last_error", certificate->last_error);
    return json_append(context, object) && is_whole ? RM_OK : RM_ERR_NO_MEMORY;
}

static enum rm_err read_certificates(const struct wire_bytes *answer, bool is_json, void *target)
{
    return wire_read_certificates(answer->bytes, answer->length,
                                  is_json ? certificate_entry : certificate_row, target);
}

enum cli_exit certificate_list(const struct args *args)
{
    static const char *const heading[] = {"SERIAL", "IDENTITY",     "STATE",     "NOT AFTER",
                                          ">LEFT",  "NEXT RENEWAL", "LAST ERROR"};
    static const struct list_view view = {
        .method = "ListCertificates",
        .key = "certificates",
        .hint = "no certificates: '--all' shows expired ones, too",
        .heading = heading,
        .column_count = sizeof heading / sizeof *heading,
        .read = read_certificates,
    };
    const char *identity = args_value(args, "identity");
    struct wire_bytes request = {0};
    enum rm_err result =
        wire_list_certificates(args_has(args, "all"), identity != NULL ? identity : "", &request);
    return result == RM_OK ? show_list(args, &view, &request) : show_unsendable(result);
}

// --- Identities.

static enum rm_err identity_row(void *context, const struct wire_identity *identity)
{
    struct table *table = context;
    table_add(table, identity->identity);
    table_add_list(table, identity->services.items, identity->services.count);
    table_printf(table, "%u", (unsigned)identity->live_certificates);
    table_printf(table, "%u", (unsigned)identity->connected_instances);
    return RM_OK;
}

static enum rm_err identity_entry(void *context, const struct wire_identity *identity)
{
    struct json *object = json_object_new();
    bool is_whole = json_set_string(object, "identity", identity->identity) &&
                    show_set_texts(object, "services", &identity->services) &&
                    json_set_integer(object, "live_certificates", identity->live_certificates) &&
                    json_set_integer(object, "connected_instances", identity->connected_instances);
    return json_append(context, object) && is_whole ? RM_OK : RM_ERR_NO_MEMORY;
}

static enum rm_err read_identities(const struct wire_bytes *answer, bool is_json, void *target)
{
    return wire_read_identities(answer->bytes, answer->length,
                                is_json ? identity_entry : identity_row, target);
}

enum cli_exit identity_list(const struct args *args)
{
    static const char *const heading[] = {"IDENTITY", "SERVICES", ">LIVE CERTIFICATES",
                                          ">CONNECTED"};
    static const struct list_view view = {
        .method = "ListIdentities",
        .key = "identities",
        .hint = "no identities: services and join tokens name them",
        .heading = heading,
        .column_count = sizeof heading / sizeof *heading,
        .read = read_identities,
    };
    struct wire_bytes request = {0};
    return show_list(args, &view, &request);
}

// --- Revoke.

static enum rm_err visit_revoked(void *context, const struct wire_revoked *revoked)
{
    const struct args *args = context;
    char lineage[HEX_BYTES(SHOW_MAX_HEX_BYTES)];
    show_hex(revoked->lineage, revoked->lineage_length, lineage);
    if (args->is_json) {
        struct json *object = json_object_new();
        bool is_whole = json_set_string(object, "lineage", lineage) &&
                        json_set_string(object, "identity", revoked->identity) &&
                        json_set_integer(object, "certificates", revoked->certificates);
        return show_json(object, is_whole) == CLI_OK ? RM_OK : RM_ERR_NO_MEMORY;
    }
    char *identity = printable_dup(revoked->identity);
    printf("revoked lineage %s of %s: %u certificates that had not expired\n", lineage,
           identity != NULL ? identity : "?", (unsigned)revoked->certificates);
    rm_free(identity);
    return RM_OK;
}

// "4f:00:.." is how other tools write serials. `out` holds SERIAL_MAX_BYTES.
static enum rm_err parse_serial(const char *text, uint8_t *out, size_t *length)
{
    char digits[2 * SERIAL_MAX_BYTES + 1];
    size_t count = 0;
    for (; *text != '\0'; text++) {
        if (*text == ':') {
            continue;
        }
        if (count == sizeof digits - 1) {
            return RM_ERR_MALFORMED;
        }
        digits[count++] = *text;
    }
    *length = count / 2;
    return count == 0 || count % 2 != 0 ? RM_ERR_MALFORMED
                                        : hex_decode(digits, count, out, *length);
}

enum cli_exit certificate_revoke(const struct args *args)
{
    uint8_t serial[SERIAL_MAX_BYTES];
    size_t serial_length = 0;
    const char *reason = args_value(args, "reason");
    struct wire_bytes request = {0};
    struct wire_bytes answer = {0};
    if (parse_serial(args->argument, serial, &serial_length) != RM_OK) {
        fprintf(stderr,
                "remora: '%s' is no serial: hexadecimal digits, as 'remora certificates' "
                "shows them\n",
                args->argument);
        return CLI_USAGE;
    }
    enum rm_err result =
        wire_revoke_certificate(serial, serial_length, reason != NULL ? reason : "", &request);
    if (result != RM_OK) {
        return show_unsendable(result);
    }
    enum cli_exit exit_status = exchange(args, "RevokeCertificate", &request, &answer);
    if (exit_status != CLI_OK) {
        return exit_status;
    }
    result = wire_read_revoked(answer.bytes, answer.length, visit_revoked, (void *)(uintptr_t)args);
    wire_bytes_deinit(&answer);
    return result == RM_OK ? CLI_OK : show_failure(result);
}
