// SPDX-License-Identifier: GPL-3.0-or-later
#include "config/sidecar_config.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/log.h"
#include "identity/spiffe.h"
#include "policy/glob.h"

static const char *const log_levels[] = {"debug", "info", "warn", "error", NULL};
static const char *const log_formats[] = {"auto", "text", "json", NULL};
static const char *const access_logs[] = {"off", "errors", "all", NULL};

#define LISTEN_ADDRESSES_MAX 1024 // each costs a descriptor in every worker
#define SECOND INT64_C(1000)
#define DAY (86400 * SECOND)

static enum rm_err check_id(const char *text, struct rm_error *error)
{
    struct spiffe_id id;
    return spiffe_id_parse(text, strlen(text), &id, error);
}

static enum rm_err check_domain(const char *text, struct rm_error *error)
{
    return spiffe_trust_domain_check(text, strlen(text), error);
}

static enum rm_err check_address(const char *text, struct rm_error *error)
{
    struct stream_address ignored;
    return socket_address_parse(text, &ignored, error);
}

#define AT(member) offsetof(struct sidecar_config, member)

static const struct config_field control_fields[] = {
    {.key = "address", .type = CONFIG_STRING, .offset = AT(control.address)},
    {.key = "trust_domain",
     .type = CONFIG_STRING,
     .offset = AT(control.trust_domain),
     .check = check_domain},
    {.key = "bundle", .type = CONFIG_STRING, .offset = AT(control.bundle_file)},
    {.key = "join_token_file", .type = CONFIG_STRING, .offset = AT(control.join_token_file)},
    {.key = "state_dir", .type = CONFIG_STRING, .offset = AT(control.state_dir)},
    {.key = "lifetime",
     .type = CONFIG_DURATION,
     .offset = AT(control.lifetime_ms),
     .minimum = 10 * SECOND,
     .maximum = DAY},
    {0},
};

static const struct config_field federated_fields[] = {
    {.key = "trust_domain",
     .type = CONFIG_STRING,
     .offset = offsetof(struct sidecar_federated, trust_domain),
     .is_required = true,
     .check = check_domain},
    {.key = "bundle",
     .type = CONFIG_STRING,
     .offset = offsetof(struct sidecar_federated, bundle),
     .is_required = true},
    {0},
};

static const struct config_field files_fields[] = {
    {.key = "certificate", .type = CONFIG_STRING, .offset = AT(files.certificate)},
    {.key = "key", .type = CONFIG_STRING, .offset = AT(files.key)},
    {.key = "bundle", .type = CONFIG_STRING, .offset = AT(files.bundle)},
    {.key = "federated",
     .type = CONFIG_LIST,
     .offset = AT(files.federated),
     .fields = federated_fields,
     .item_bytes = sizeof(struct sidecar_federated)},
    {0},
};

static const struct config_field identity_fields[] = {
    {.key = "control", .type = CONFIG_SECTION, .fields = control_fields},
    {.key = "files", .type = CONFIG_SECTION, .fields = files_fields},
    {0},
};

#define SERVICE_AT(member) offsetof(struct sidecar_inbound_service, member)
static const struct config_field service_fields[] = {
    {.key = "name",
     .type = CONFIG_STRING,
     .offset = SERVICE_AT(name),
     .is_required = true,
     .place_offset = SERVICE_AT(place)},
    {.key = "port",
     .type = CONFIG_INTEGER,
     .offset = SERVICE_AT(port),
     .is_required = true,
     .minimum = 1,
     .maximum = 65535},
    {.key = "target",
     .type = CONFIG_STRING,
     .offset = SERVICE_AT(target),
     .is_required = true,
     .check = check_address},
    {.key = "allow", .type = CONFIG_STRINGS, .offset = SERVICE_AT(allow), .check = glob_check},
    {0},
};

#define EDGE_AT(member) offsetof(struct sidecar_edge, member)
static const struct config_field edge_fields[] = {
    {.key = "listen",
     .type = CONFIG_STRING,
     .offset = EDGE_AT(listen),
     .is_required = true,
     .check = check_address},
    {.key = "service",
     .type = CONFIG_STRING,
     .offset = EDGE_AT(service),
     .is_required = true,
     .place_offset = EDGE_AT(place)},
    {0},
};

static const struct config_field inbound_fields[] = {
    {.key = "listen",
     .type = CONFIG_STRING,
     .offset = AT(inbound_listen),
     .initial = "0.0.0.0:15008",
     .check = check_address},
    {.key = "services",
     .type = CONFIG_LIST,
     .offset = AT(services),
     .fields = service_fields,
     .item_bytes = sizeof(struct sidecar_inbound_service)},
    {.key = "edges",
     .type = CONFIG_LIST,
     .offset = AT(edges),
     .fields = edge_fields,
     .item_bytes = sizeof(struct sidecar_edge)},
    {0},
};

#define OUTBOUND_AT(member) offsetof(struct sidecar_outbound, member)
static const struct config_field outbound_fields[] = {
    {.key = "listen",
     .type = CONFIG_STRING,
     .offset = OUTBOUND_AT(listen),
     .is_required = true,
     .check = check_address,
     .place_offset = OUTBOUND_AT(place)},
    {.key = "service", .type = CONFIG_STRING, .offset = OUTBOUND_AT(service), .is_required = true},
    {.key = "port",
     .type = CONFIG_INTEGER,
     .offset = OUTBOUND_AT(port),
     .minimum = 0,
     .maximum = 65535},
    {.key = "endpoint", .type = CONFIG_STRING, .offset = OUTBOUND_AT(endpoint)},
    {.key = "identity", .type = CONFIG_STRING, .offset = OUTBOUND_AT(identity), .check = check_id},
    {.key = "expose", .type = CONFIG_BOOL, .offset = OUTBOUND_AT(is_exposed)},
    {.key = "socket_mode", .type = CONFIG_STRING, .offset = OUTBOUND_AT(socket_mode)},
    {0},
};

static const struct config_field log_fields[] = {
    {.key = "level",
     .type = CONFIG_CHOICE,
     .offset = AT(log_level),
     .initial = "info",
     .choices = log_levels},
    {.key = "format",
     .type = CONFIG_CHOICE,
     .offset = AT(log_format),
     .initial = "auto",
     .choices = log_formats},
    {.key = "access",
     .type = CONFIG_CHOICE,
     .offset = AT(access_log),
     .initial = "errors",
     .choices = access_logs},
    {0},
};

static const struct config_field timeout_fields[] = {
    {.key = "drain",
     .type = CONFIG_DURATION,
     .offset = AT(drain_ms),
     .initial = "25s",
     .minimum = 0,
     .maximum = 3600 * SECOND},
    {.key = "connection_grace",
     .type = CONFIG_DURATION,
     .offset = AT(connection_grace_ms),
     .initial = "5m",
     .minimum = 0,
     .maximum = DAY},
    {.key = "idle",
     .type = CONFIG_DURATION,
     .offset = AT(idle_timeout_ms),
     .initial = "0s",
     .minimum = 0,
     .maximum = 30 * DAY},
    {.key = "connect",
     .type = CONFIG_DURATION,
     .offset = AT(connect_timeout_ms),
     .initial = "5s",
     .minimum = 100,
     .maximum = 120 * SECOND},
    {.key = "first_view",
     .type = CONFIG_DURATION,
     .offset = AT(view_wait_ms),
     .initial = "5s",
     .minimum = 0,
     .maximum = 300 * SECOND},
    {0},
};

static const struct config_field fields[] = {
    {.key = "identity", .type = CONFIG_SECTION, .fields = identity_fields, .is_required = true},
    {.key = "inbound", .type = CONFIG_SECTION, .fields = inbound_fields},
    {.key = "outbound",
     .type = CONFIG_LIST,
     .offset = AT(outbound),
     .fields = outbound_fields,
     .item_bytes = sizeof(struct sidecar_outbound)},
    {.key = "health",
     .type = CONFIG_STRING,
     .offset = AT(health_listen),
     .initial = "0.0.0.0:15021",
     .check = check_address},
    {.key = "metrics",
     .type = CONFIG_STRING,
     .offset = AT(metrics_listen),
     .initial = "0.0.0.0:15020",
     .check = check_address},
    {.key = "zone", .type = CONFIG_STRING, .offset = AT(zone)},
    {.key = "workers",
     .type = CONFIG_INTEGER,
     .offset = AT(workers),
     .initial = "0",
     .minimum = 0,
     .maximum = 64},
    {.key = "timeouts", .type = CONFIG_SECTION, .fields = timeout_fields},
    {.key = "log", .type = CONFIG_SECTION, .fields = log_fields},
    {0},
};

static const struct config_place no_place = {0};

static enum rm_err check_identity(const struct sidecar_config *config, struct rm_error *error)
{
    bool has_control = config->control.address != NULL;
    bool has_files = config->files.certificate != NULL;
    if (has_control == has_files) {
        return config_fail(error, config->path, no_place,
                           "identity needs exactly one of 'control' (with its 'address') and "
                           "'files' (with 'certificate', 'key' and 'bundle')");
    }
    if (has_files && (config->files.key == NULL || config->files.bundle == NULL)) {
        return config_fail(error, config->path, no_place,
                           "identity.files needs 'certificate', 'key' and 'bundle'");
    }
    if (has_control && config->control.join_token_file == NULL &&
        config->control.state_dir == NULL) {
        return config_fail(error, config->path, no_place,
                           "identity.control needs a 'join_token_file', or a 'state_dir' with an "
                           "earlier re-join key; make a token with 'remora token create'");
    }
    if (has_control && config->control.trust_domain == NULL) {
        return config_fail(error, config->path, no_place,
                           "identity.control needs 'trust_domain', so that the control plane can "
                           "be told from an impostor");
    }
    return RM_OK;
}

static struct sidecar_inbound_service *find_service(const struct sidecar_config *config,
                                                    const char *name)
{
    struct sidecar_inbound_service *services = config->services.items;
    for (size_t i = 0; i < config->services.count; i++) {
        if (strcmp(services[i].name, name) == 0) {
            return &services[i];
        }
    }
    return NULL;
}

static enum rm_err check_services(struct sidecar_config *config, struct rm_error *error)
{
    struct sidecar_inbound_service *services = config->services.items;
    for (size_t i = 0; i < config->services.count; i++) {
        RM_TRY(socket_address_parse(services[i].target, &services[i].target_address, error));
        if (find_service(config, services[i].name) != &services[i]) {
            return config_fail(error, config->path, services[i].place,
                               "service '%s' is declared twice", services[i].name);
        }
    }
    struct sidecar_edge *edges = config->edges.items;
    for (size_t i = 0; i < config->edges.count; i++) {
        RM_TRY(socket_address_parse(edges[i].listen, &edges[i].listen_address, error));
        if (find_service(config, edges[i].service) == NULL) {
            return config_fail(error, config->path, edges[i].place,
                               "edge names the service '%s', which inbound.services does not "
                               "declare",
                               edges[i].service);
        }
    }
    return RM_OK;
}

// Permissions of a Unix socket as octal text, e.g. "0660".
static enum rm_err parse_mode(const struct sidecar_config *config,
                              struct sidecar_outbound *outbound, struct rm_error *error)
{
    outbound->mode = 0600;
    if (outbound->socket_mode == NULL) {
        return RM_OK;
    }
    char *end = NULL;
    long mode = strtol(outbound->socket_mode, &end, 8);
    if (end == outbound->socket_mode || *end != '\0' || mode < 0 || mode > 0777) {
        return config_fail(error, config->path, outbound->place,
                           "socket_mode '%s' is not an octal mode between \"0000\" and \"0777\"",
                           outbound->socket_mode);
    }
    outbound->mode = (int)mode;
    return RM_OK;
}

static enum rm_err check_one_outbound(const struct sidecar_config *config,
                                      struct sidecar_outbound *outbound, struct rm_error *error)
{
    RM_TRY(socket_address_parse(outbound->listen, &outbound->listen_address, error));
    if (!outbound->is_exposed && !socket_address_is_loopback(&outbound->listen_address)) {
        return config_fail(
            error, config->path, outbound->place,
            "outbound listener %s is not on loopback: whoever reaches it would act "
            "as this workload; use 127.0.0.1 or a Unix socket, or say 'expose: true'",
            outbound->listen);
    }
    if ((outbound->endpoint == NULL) != (outbound->identity == NULL)) {
        return config_fail(error, config->path, outbound->place,
                           "'endpoint' and 'identity' go together: a fixed endpoint must prove a "
                           "fixed SPIFFE ID");
    }
    if (outbound->endpoint != NULL && outbound->port == 0) {
        return config_fail(error, config->path, outbound->place,
                           "a fixed endpoint needs the service's 'port'");
    }
    if (outbound->endpoint == NULL && config->files.certificate != NULL) {
        return config_fail(
            error, config->path, outbound->place,
            "without a control plane there is no view: service '%s' needs 'endpoint' "
            "and 'identity'",
            outbound->service);
    }
    return parse_mode(config, outbound, error);
}

// One address, one meaning: the later of two listeners would never see a connection.
struct listen_check {
    const struct stream_address *seen[LISTEN_ADDRESSES_MAX]; // borrowed from the configuration
    size_t count;                                            // of seen
};

static enum rm_err check_listen(const struct sidecar_config *config, struct listen_check *check,
                                const struct stream_address *address, struct config_place place,
                                struct rm_error *error)
{
    char text[STREAM_ADDRESS_TEXT_BYTES];
    stream_address_text(address, text);
    if (check->count == LISTEN_ADDRESSES_MAX) {
        return config_fail(error, config->path, place, "more than %d addresses to listen on",
                           LISTEN_ADDRESSES_MAX);
    }
    for (size_t i = 0; i < check->count; i++) {
        if (socket_address_equal(check->seen[i], address)) {
            return config_fail(error, config->path, place, "%s is listened on twice", text);
        }
    }
    check->seen[check->count++] = address;
    return RM_OK;
}

static enum rm_err check_listens(const struct sidecar_config *config, struct rm_error *error)
{
    struct listen_check check = {.count = 0};
    const struct sidecar_edge *edges = config->edges.items;
    const struct sidecar_outbound *outbound = config->outbound.items;
    RM_TRY(check_listen(config, &check, &config->health_address, no_place, error));
    RM_TRY(check_listen(config, &check, &config->metrics_address, no_place, error));
    RM_TRY(check_listen(config, &check, &config->inbound_address, no_place, error));
    for (size_t i = 0; i < config->edges.count; i++) {
        RM_TRY(check_listen(config, &check, &edges[i].listen_address, edges[i].place, error));
    }
    for (size_t i = 0; i < config->outbound.count; i++) {
        RM_TRY(check_listen(config, &check, &outbound[i].listen_address, outbound[i].place, error));
    }
    return RM_OK;
}

static enum rm_err check_all(struct sidecar_config *config, struct rm_error *error)
{
    RM_TRY(check_identity(config, error));
    RM_TRY(check_services(config, error));
    struct sidecar_outbound *outbound = config->outbound.items;
    for (size_t i = 0; i < config->outbound.count; i++) {
        RM_TRY(check_one_outbound(config, &outbound[i], error));
    }
    RM_TRY(socket_address_parse(config->inbound_listen, &config->inbound_address, error));
    RM_TRY(socket_address_parse(config->health_listen, &config->health_address, error));
    RM_TRY(socket_address_parse(config->metrics_listen, &config->metrics_address, error));
    return check_listens(config, error);
}

enum rm_err sidecar_config_read(const char *path, struct sidecar_config **out,
                                struct rm_error *error)
{
    *out = NULL;
    struct sidecar_config *config = rm_calloc(1, sizeof *config);
    if (config == NULL) {
        return rm_error_set(error, RM_ERR_NO_MEMORY, "out of memory");
    }
    enum rm_err result = config_read(path, fields, config, sizeof *config, error);
    if (result != RM_OK) {
        rm_free(config);
        return result;
    }
    config->ref_count = 1;
    config->path = rm_strdup(path);
    result = config->path != NULL ? check_all(config, error)
                                  : rm_error_set(error, RM_ERR_NO_MEMORY, "out of memory");
    if (result != RM_OK) {
        sidecar_config_unref(config);
        return result;
    }
    *out = config;
    return RM_OK;
}

struct sidecar_config *sidecar_config_ref(struct sidecar_config *config)
{
    __atomic_add_fetch(&config->ref_count, 1, __ATOMIC_RELAXED);
    return config;
}

void sidecar_config_unref(struct sidecar_config *config)
{
    if (config == NULL || __atomic_sub_fetch(&config->ref_count, 1, __ATOMIC_ACQ_REL) > 0) {
        return;
    }
    char *path = config->path;
    config_free(fields, config);
    rm_free(path);
    rm_free(config);
}
