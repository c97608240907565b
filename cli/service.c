// SPDX-License-Identifier: GPL-3.0-or-later
//
// remora service ...
#include <string.h>

#include "base/alloc.h"
#include "commands.h"
#include "show.h"

// --- Showing services.

static bool set_endpoints(struct json *object, const struct wire_service *service)
{
    struct json *array = json_array_new();
    bool is_whole = array != NULL;
    for (size_t i = 0; is_whole && i < service->endpoint_count; i++) {
        struct wire_endpoint endpoint = wire_service_endpoint(service, i);
        struct json *entry = json_object_new();
        is_whole =
            entry != NULL && show_set_text(entry, "instance", endpoint.instance_id) &&
            show_set_text(entry, "identity", endpoint.identity) &&
            show_set_text(entry, "address", endpoint.address) &&
            show_set_text(entry, "zone", endpoint.zone) &&
            show_set_hex(entry, "view_hash", endpoint.view_hash, endpoint.view_hash_length) &&
            json_set_integer(entry, "view_version", (int64_t)endpoint.view_version);
        is_whole = json_append(array, entry) && is_whole;
    }
    return json_set(object, "endpoints", array) && is_whole;
}

// NULL when memory is exhausted.
static struct json *service_json(const struct wire_service *service)
{
    struct json *object = json_object_new();
    if (object != NULL && json_set_string(object, "name", service->name) &&
        json_set_integer(object, "port", service->port) &&
        show_set_texts(object, "identities", &service->identities) &&
        show_set_texts(object, "allow", &service->allow) &&
        json_set_bool(object, "guarded", service->is_guarded) &&
        show_set_texts(object, "dns_names", &service->dns_names) &&
        set_endpoints(object, service)) {
        return object;
    }
    json_free(object);
    return NULL;
}

static void print_lines(const char *name, const struct wire_texts *texts)
{
    for (size_t i = 0; i < texts->count; i++) {
        char *safe = printable_dup(texts->items[i]);
        printf("%-12s %s\n", i == 0 ? name : "", safe != NULL ? safe : "?");
        rm_free(safe);
    }
}

static enum rm_err print_endpoints(const struct wire_service *service)
{
    static const char *const heading[] = {"INSTANCE", "IDENTITY", "ADDRESS",
                                          "ZONE",     ">VIEW",    "VIEW HASH"};
    struct table table;
    table_init(&table, heading, 6);
    for (size_t i = 0; i < service->endpoint_count; i++) {
        struct wire_endpoint endpoint = wire_service_endpoint(service, i);
        char hash[HEX_BYTES(SHOW_MAX_HEX_BYTES)];
        show_hex(endpoint.view_hash, endpoint.view_hash_length, hash);
        table_add(&table, endpoint.instance_id);
        table_add(&table, endpoint.identity);
        table_add(&table, endpoint.address);
        table_add(&table, endpoint.zone);
        table_printf(&table, "%llu", (unsigned long long)endpoint.view_version);
        table_printf(&table, "%.16s", hash);
    }
    printf("%-12s %zu\n", "endpoints", service->endpoint_count);
    enum rm_err result = service->endpoint_count > 0 ? table_print(&table, stdout) : RM_OK;
    table_deinit(&table);
    return result;
}

static enum rm_err print_service(const struct wire_service *service)
{
    static char *callers[] = {"own trust domain", "nobody (guarded, and no pattern)"};
    struct wire_texts name = {(char **)(uintptr_t)&service->name, 1};
    struct wire_texts nobody = {&callers[service->is_guarded ? 1 : 0], 1};
    print_lines("name", &name);
    printf("%-12s %u\n", "port", (unsigned)service->port);
    print_lines("identities", &service->identities);
    print_lines("callers", service->allow.count > 0 ? &service->allow : &nobody);
    printf("%-12s %s\n", "guarded", service->is_guarded ? "yes" : "no");
    print_lines("dns names", &service->dns_names);
    return print_endpoints(service);
}

// The answer to create, update and show: one service.
struct one {
    const struct args *args; // borrowed
    const char *name;        // wanted from a list; NULL: the answer is one service
    enum cli_exit status;    // CLI_REFUSED until it was shown
    bool is_found;           // it was there
};

static enum rm_err visit_one(void *context, const struct wire_service *service)
{
    struct one *one = context;
    if (one->name != NULL && strcmp(one->name, service->name) != 0) {
        return RM_OK;
    }
    one->is_found = true;
    if (one->args->is_json) {
        one->status = show_json(service_json(service), true);
        return RM_OK;
    }
    RM_TRY(print_service(service));
    one->status = CLI_OK;
    return RM_OK;
}

static enum cli_exit show_one(const struct args *args, struct wire_bytes *answer, const char *name)
{
    struct one one = {.args = args, .name = name, .status = CLI_REFUSED};
    enum rm_err result =
        wire_read_services(answer->bytes, answer->length, name != NULL, visit_one, &one);
    wire_bytes_deinit(answer);
    if (result != RM_OK) {
        return show_failure(result);
    }
    if (!one.is_found) {
        fprintf(stderr, "remora: service '%s' does not exist: see 'remora service list'\n", name);
    }
    return one.status;
}

static enum cli_exit change(const struct args *args, const char *method, struct wire_bytes *request)
{
    struct wire_bytes answer = {0};
    enum cli_exit status = exchange(args, method, request, &answer);
    return status == CLI_OK ? show_one(args, &answer, NULL) : status;
}

// --- Create and update.

// Fills each list from the option of its name; the arrays are the caller's (rm_free).
struct list_option {
    const char *name;        // of the option
    struct wire_texts *list; // to fill
};

static enum rm_err fill_lists(const struct args *args, const struct list_option *options,
                              size_t count)
{
    for (size_t i = 0; i < count; i++) {
        RM_TRY(
            args_values(args, options[i].name, &options[i].list->items, &options[i].list->count));
    }
    return RM_OK;
}

static void free_lists(const struct list_option *options, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        rm_free(options[i].list->items);
    }
}

enum cli_exit service_create(const struct args *args)
{
    struct wire_create_service service = {.name = args->argument};
    const struct list_option lists[] = {
        {"identity", &service.identities}, {"allow", &service.allow}, {"dns", &service.dns_names}};
    struct wire_bytes request = {0};
    struct rm_error error = {0};
    int64_t port = 0;
    if (number_parse(args_value(args, "port"), 1, UINT16_MAX, &port, &error) != RM_OK) {
        fprintf(stderr, "remora: --port: %s\n", rm_error_message(&error));
        return CLI_USAGE;
    }
    service.port = (uint32_t)port;
    enum rm_err result = fill_lists(args, lists, 3);
    if (result == RM_OK) {
        result = wire_create_service(&service, &request);
    }
    free_lists(lists, 3);
    return result == RM_OK ? change(args, "CreateService", &request) : show_unsendable(result);
}

enum cli_exit service_update(const struct args *args)
{
    struct wire_update_service service = {.name = args->argument,
                                          .clear_guard = args_has(args, "clear-guard")};
    const struct list_option lists[] = {
        {"add-identity", &service.add_identities}, {"remove-identity", &service.remove_identities},
        {"add-allow", &service.add_allow},         {"remove-allow", &service.remove_allow},
        {"add-dns", &service.add_dns_names},       {"remove-dns", &service.remove_dns_names}};
    struct wire_bytes request = {0};
    if (args->value_count == 0) {
        fputs("remora: nothing to update: see 'remora service update --help'\n", stderr);
        return CLI_USAGE;
    }
    enum rm_err result = fill_lists(args, lists, 6);
    if (result == RM_OK) {
        result = wire_update_service(&service, &request);
    }
    free_lists(lists, 6);
    return result == RM_OK ? change(args, "UpdateService", &request) : show_unsendable(result);
}

// --- Show, list, delete.

enum cli_exit service_show(const struct args *args)
{
    struct wire_bytes request = {0};
    struct wire_bytes answer = {0};
    enum cli_exit status = exchange(args, "ListServices", &request, &answer);
    return status == CLI_OK ? show_one(args, &answer, args->argument) : status;
}

static enum rm_err visit_row(void *context, const struct wire_service *service)
{
    struct table *table = context;
    table_add(table, service->name);
    table_printf(table, "%u", (unsigned)service->port);
    table_add_list(table, service->identities.items, service->identities.count);
    show_add_callers(table, &service->allow, service->is_guarded);
    table_printf(table, "%zu", service->endpoint_count);
    return RM_OK;
}

static enum rm_err visit_entry(void *context, const struct wire_service *service)
{
    return json_append(context, service_json(service)) ? RM_OK : RM_ERR_NO_MEMORY;
}

static enum rm_err read_list(const struct wire_bytes *answer, bool is_json, void *target)
{
    return wire_read_services(answer->bytes, answer->length, true,
                              is_json ? visit_entry : visit_row, target);
}

enum cli_exit service_list(const struct args *args)
{
    static const char *const heading[] = {"NAME", ">PORT", "IDENTITIES", "CALLERS", ">ENDPOINTS"};
    static const struct list_view view = {
        .method = "ListServices",
        .key = "services",
        .hint = "no services: 'remora service create' makes one",
        .heading = heading,
        .column_count = sizeof heading / sizeof *heading,
        .read = read_list,
    };
    struct wire_bytes request = {0};
    return show_list(args, &view, &request);
}

enum cli_exit service_delete(const struct args *args)
{
    struct wire_bytes request = {0};
    struct wire_bytes answer = {0};
    enum rm_err result = wire_delete_service(args->argument, &request);
    if (result != RM_OK) {
        return show_unsendable(result);
    }
    enum cli_exit status = exchange(args, "DeleteService", &request, &answer);
    if (status != CLI_OK) {
        return status;
    }
    wire_bytes_deinit(&answer);
    return show_deleted(args, "service");
}
