// SPDX-License-Identifier: GPL-3.0-or-later
//
// remora sidecar view: the picture of the mesh that a sidecar works from.
#include "sidecar_view.h"

#include <stdio.h>

#include "base/alloc.h"
#include "commands.h"
#include "show.h"

// --- Parts.

struct json *show_bundle_json(const struct wire_bundle *bundle)
{
    struct json *object = json_object_new();
    struct json *array = json_array_new();
    bool is_whole = array != NULL;
    for (size_t i = 0; i < bundle->key_id_count; i++) {
        char key_id[HEX_BYTES(SHOW_MAX_HEX_BYTES)];
        const struct wire_binary binary = wire_bundle_key_id(bundle, i);
        show_hex(binary.bytes, binary.length, key_id);
        is_whole = json_append_string(array, key_id) && is_whole;
    }
    is_whole = json_set_string(object, "trust_domain", bundle->trust_domain) &&
               show_set_text(object, "for", bundle->own_name) && is_whole;
    is_whole = json_set(object, "key_ids", array) && is_whole;
    if (!is_whole) {
        json_free(object);
        return NULL;
    }
    return object;
}

struct json *show_view_version_json(const struct wire_view_version *version)
{
    struct json *object = json_object_new();
    bool is_heard = version->last_heard_ago_ms >= 0;
    if (object != NULL && json_set_bool(object, "complete", version->is_complete) &&
        show_set_hex(object, "store_id", version->store_id.bytes, version->store_id.length) &&
        json_set_integer(object, "number", (int64_t)version->number) &&
        show_set_hex(object, "hash", version->hash.bytes, version->hash.length) &&
        (is_heard ? json_set_integer(object, "last_heard_ago_ms", version->last_heard_ago_ms)
                  : json_set_string(object, "last_heard_ago_ms", NULL)) &&
        json_set_integer(object, "services", version->service_count) &&
        json_set_integer(object, "endpoints", version->endpoint_count) &&
        json_set_integer(object, "withdrawals", version->withdrawal_count)) {
        return object;
    }
    json_free(object);
    return NULL;
}

void show_view_version(const struct wire_view_version *version)
{
    char hash[HEX_BYTES(SHOW_MAX_HEX_BYTES)];
    char ago[CLOCK_DURATION_BYTES];
    if (!version->is_complete) {
        show_line("view", "none yet: the control plane has not sent a complete one");
        return;
    }
    show_hex(version->hash.bytes, version->hash.length, hash);
    clock_format_duration(version->last_heard_ago_ms / 1000, ago);
    show_linef("view", "version %llu, hash %.16s, heard of %s ago",
               (unsigned long long)version->number, hash, ago);
    show_linef("", "%u services, %u endpoints, %u withdrawals", (unsigned)version->service_count,
               (unsigned)version->endpoint_count, (unsigned)version->withdrawal_count);
}

// --- The whole, for people.

enum { SERVICE_COLUMNS = 4, ENDPOINT_COLUMNS = 5, WITHDRAWAL_COLUMNS = 3 };

struct view_tables {
    struct table services;    // as they come
    struct table endpoints;   // the same
    struct table withdrawals; // the same
};

static enum rm_err print_version(void *context, const struct wire_view_version *version)
{
    (void)context;
    show_view_version(version);
    return RM_OK;
}

static enum rm_err add_service(void *context, const struct wire_view_service *service)
{
    struct table *table = &((struct view_tables *)context)->services;
    table_add(table, service->name);
    table_printf(table, "%u", (unsigned)service->port);
    table_add_list(table, service->identities.items, service->identities.count);
    show_add_callers(table, &service->allow, service->is_guarded);
    return RM_OK;
}

static enum rm_err add_endpoint(void *context, const struct wire_view_endpoint *endpoint)
{
    struct table *table = &((struct view_tables *)context)->endpoints;
    table_add(table, endpoint->service);
    table_add(table, endpoint->address);
    table_add(table, endpoint->identity);
    table_add(table, endpoint->zone);
    table_add(table, endpoint->is_ready ? "yes" : "no");
    return RM_OK;
}

static enum rm_err add_withdrawal(void *context, const struct wire_view_withdrawal *withdrawal)
{
    struct table *table = &((struct view_tables *)context)->withdrawals;
    char expires[CLOCK_RFC3339_BYTES];
    show_time(withdrawal->expires_s, expires);
    table_add(table, withdrawal->kind);
    table_add(table, withdrawal->subject);
    table_add(table, expires);
    return RM_OK;
}

static enum rm_err on_table_piece(void *context, const uint8_t *bytes, size_t length)
{
    const struct wire_view_visitor visitor = {
        .version = print_version,
        .service = add_service,
        .endpoint = add_endpoint,
        .withdrawal = add_withdrawal,
        .context = context,
    };
    return wire_read_view(bytes, length, &visitor);
}

static enum cli_exit print_part(const struct table *table)
{
    if (table_row_count(table) == 0 && !table->is_failed) {
        return CLI_OK;
    }
    puts("");
    enum rm_err result = table_print(table, stdout);
    return result == RM_OK ? CLI_OK : show_failure(result);
}

static enum cli_exit view_tables(const struct args *args, struct exchange_question *question)
{
    static const char *const services[SERVICE_COLUMNS] = {"SERVICE", ">PORT", "IDENTITIES",
                                                          "CALLERS"};
    static const char *const endpoints[ENDPOINT_COLUMNS] = {"ENDPOINT OF", "ADDRESS", "IDENTITY",
                                                            "ZONE", "READY"};
    static const char *const withdrawals[WITHDRAWAL_COLUMNS] = {"WITHDRAWN", "SUBJECT", "UNTIL"};
    struct view_tables tables;
    table_init(&tables.services, services, SERVICE_COLUMNS);
    table_init(&tables.endpoints, endpoints, ENDPOINT_COLUMNS);
    table_init(&tables.withdrawals, withdrawals, WITHDRAWAL_COLUMNS);
    question->on_message = on_table_piece;
    question->context = &tables;
    enum cli_exit status = exchange_stream(args, question);
    if (status == CLI_OK) {
        status = print_part(&tables.services);
    }
    if (status == CLI_OK) {
        status = print_part(&tables.endpoints);
    }
    if (status == CLI_OK) {
        status = print_part(&tables.withdrawals);
    }
    table_deinit(&tables.services);
    table_deinit(&tables.endpoints);
    table_deinit(&tables.withdrawals);
    return status;
}

// --- The whole, for scripts.

struct view_json {
    struct json *version;     // NULL: not yet
    struct json *bundles;     // array, as all that follow
    struct json *services;    //
    struct json *endpoints;   //
    struct json *withdrawals; //
};

static enum rm_err keep_version(void *context, const struct wire_view_version *version)
{
    struct view_json *view = context;
    json_free(view->version);
    view->version = show_view_version_json(version);
    return view->version != NULL ? RM_OK : RM_ERR_NO_MEMORY;
}

static enum rm_err append_if(struct json *array, struct json *object, bool is_whole)
{
    if (!is_whole) {
        json_free(object);
        return RM_ERR_NO_MEMORY;
    }
    return json_append(array, object) ? RM_OK : RM_ERR_NO_MEMORY;
}

static enum rm_err keep_bundle(void *context, const struct wire_bundle *bundle)
{
    struct json *object = show_bundle_json(bundle);
    return append_if(((struct view_json *)context)->bundles, object, object != NULL);
}

static enum rm_err keep_service(void *context, const struct wire_view_service *service)
{
    struct json *object = json_object_new();
    bool is_whole = json_set_string(object, "name", service->name) &&
                    json_set_integer(object, "port", service->port) &&
                    show_set_texts(object, "identities", &service->identities) &&
                    show_set_texts(object, "allow", &service->allow) &&
                    json_set_bool(object, "guarded", service->is_guarded);
    return append_if(((struct view_json *)context)->services, object, is_whole);
}

static enum rm_err keep_endpoint(void *context, const struct wire_view_endpoint *endpoint)
{
    struct json *object = json_object_new();
    bool is_whole = json_set_string(object, "service", endpoint->service) &&
                    json_set_string(object, "instance", endpoint->instance_id) &&
                    json_set_string(object, "address", endpoint->address) &&
                    json_set_string(object, "identity", endpoint->identity) &&
                    show_set_text(object, "zone", endpoint->zone) &&
                    json_set_bool(object, "ready", endpoint->is_ready);
    return append_if(((struct view_json *)context)->endpoints, object, is_whole);
}

static enum rm_err keep_withdrawal(void *context, const struct wire_view_withdrawal *withdrawal)
{
    struct json *object = json_object_new();
    bool is_whole = json_set_string(object, "kind", withdrawal->kind) &&
                    json_set_string(object, "subject", withdrawal->subject) &&
                    show_set_time(object, "until", "until_s", withdrawal->expires_s);
    return append_if(((struct view_json *)context)->withdrawals, object, is_whole);
}

static enum rm_err on_json_piece(void *context, const uint8_t *bytes, size_t length)
{
    const struct wire_view_visitor visitor = {
        .version = keep_version,
        .bundle = keep_bundle,
        .service = keep_service,
        .endpoint = keep_endpoint,
        .withdrawal = keep_withdrawal,
        .context = context,
    };
    return wire_read_view(bytes, length, &visitor);
}

static enum cli_exit view_json(const struct args *args, struct exchange_question *question)
{
    struct view_json view = {NULL, json_array_new(), json_array_new(), json_array_new(),
                             json_array_new()};
    question->on_message = on_json_piece;
    question->context = &view;
    enum cli_exit status = exchange_stream(args, question);
    struct json *object = json_object_new();
    // Each is taken, whatever became of the one before.
    bool is_whole = view.version != NULL && json_set(object, "version", view.version);
    is_whole = json_set(object, "bundles", view.bundles) && is_whole;
    is_whole = json_set(object, "services", view.services) && is_whole;
    is_whole = json_set(object, "endpoints", view.endpoints) && is_whole;
    is_whole = json_set(object, "withdrawals", view.withdrawals) && is_whole;
    if (status != CLI_OK) {
        json_free(object);
        return status;
    }
    return show_json(object, is_whole);
}

enum cli_exit sidecar_view(const struct args *args)
{
    struct wire_bytes request = {0};
    struct exchange_question question = {
        .peer = EXCHANGE_SIDECAR, .method = "GetView", .request = &request};
    return args->is_json ? view_json(args, &question) : view_tables(args, &question);
}
