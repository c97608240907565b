// SPDX-License-Identifier: GPL-3.0-or-later
#include "config/sidecar_config_internal.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/log.h"
#include "identity/spiffe.h"
#include "mesh/resource.h"
#include "policy/glob.h"

static const char *const log_levels[] = {"debug", "info", "warn", "error", NULL};
static const char *const log_formats[] = {"auto", "text", "json", NULL};
static const char *const access_logs[] = {"off", "errors", "all", NULL};

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

static enum rm_err check_local(const char *text, struct rm_error *error)
{
    if (strcmp(text, "off") == 0) {
        return RM_OK;
    }
    if (strncmp(text, "unix:", 5) != 0) {
        return rm_error_set(error, RM_ERR_MALFORMED,
                            "expected unix:/path or off: its callers are known by their user, "
                            "which no network tells");
    }
    return check_address(text, error);
}

static enum rm_err check_group(const char *text, struct rm_error *error)
{
    gid_t ignored = GROUP_NONE;
    return group_find(text, &ignored) == RM_OK
               ? RM_OK
               : rm_error_set(error, RM_ERR_NOT_FOUND, "there is no group '%s' on this machine",
                              text);
}

static enum rm_err check_host_port(const char *text, struct rm_error *error)
{
    const char *colon = strrchr(text, ':');
    char *end = NULL;
    unsigned long port =
        colon != NULL && isdigit((unsigned char)colon[1]) ? strtoul(colon + 1, &end, 10) : 0;
    if (colon == NULL || colon == text || port == 0 || port > 65535 || *end != '\0') {
        return rm_error_set(error, RM_ERR_MALFORMED,
                            "expected host:port, e.g. control.example:15010 or [::1]:15010");
    }
    return RM_OK;
}

static enum rm_err check_zone(const char *text, struct rm_error *error)
{
    return mesh_label_is_valid(text)
               ? RM_OK
               : rm_error_set(error, RM_ERR_MALFORMED,
                              "a zone is 1 to %d letters, digits, '.', '_' and '-'",
                              MESH_MAX_LABEL_BYTES);
}

#define AT(member) offsetof(struct sidecar_config, member)

static const struct config_field control_fields[] = {
    {.key = "address",
     .type = CONFIG_STRING,
     .offset = AT(control.address),
     .check = check_host_port},
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

#define MORE_AT(member) offsetof(struct sidecar_more_identity, member)
static const struct config_field more_identity_fields[] = {
    {.key = "name",
     .type = CONFIG_STRING,
     .offset = MORE_AT(name),
     .is_required = true,
     .check = mesh_name_check,
     .place_offset = MORE_AT(files.place)},
    {.key = "certificate",
     .type = CONFIG_STRING,
     .offset = MORE_AT(files.certificate),
     .is_required = true},
    {.key = "key", .type = CONFIG_STRING, .offset = MORE_AT(files.key), .is_required = true},
    {.key = "bundle", .type = CONFIG_STRING, .offset = MORE_AT(files.bundle), .is_required = true},
    {.key = "federated",
     .type = CONFIG_LIST,
     .offset = MORE_AT(files.federated),
     .fields = federated_fields,
     .item_bytes = sizeof(struct sidecar_federated)},
    {0},
};

static const struct config_field identity_fields[] = {
    {.key = "control",
     .type = CONFIG_SECTION,
     .fields = control_fields,
     .place_offset = AT(control.place)},
    {.key = "files",
     .type = CONFIG_SECTION,
     .fields = files_fields,
     .place_offset = AT(files.place)},
    {0},
};

#define SERVICE_AT(member) offsetof(struct sidecar_inbound_service, member)
static const struct config_field service_fields[] = {
    {.key = "name",
     .type = CONFIG_STRING,
     .offset = SERVICE_AT(name),
     .is_required = true,
     .check = mesh_name_check,
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
    {.key = "as", .type = CONFIG_STRING, .offset = SERVICE_AT(as), .check = mesh_name_check},
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
    {.key = "service",
     .type = CONFIG_STRING,
     .offset = OUTBOUND_AT(service),
     .is_required = true,
     .check = mesh_name_check},
    {.key = "port",
     .type = CONFIG_INTEGER,
     .offset = OUTBOUND_AT(port),
     .minimum = 0,
     .maximum = 65535},
    {.key = "endpoint",
     .type = CONFIG_STRING,
     .offset = OUTBOUND_AT(endpoint),
     .check = check_host_port},
    {.key = "identity", .type = CONFIG_STRING, .offset = OUTBOUND_AT(identity), .check = check_id},
    {.key = "as", .type = CONFIG_STRING, .offset = OUTBOUND_AT(as), .check = mesh_name_check},
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
    {.key = "vanished",
     .type = CONFIG_DURATION,
     .offset = AT(vanished_ms),
     .initial = "60s",
     .minimum = SOCKET_VANISHED_MIN_MS,
     .maximum = 3600 * SECOND},
    {.key = "first_view",
     .type = CONFIG_DURATION,
     .offset = AT(view_wait_ms),
     .initial = "5s",
     .minimum = 0,
     .maximum = 300 * SECOND},
    {0},
};

static const struct config_field local_fields[] = {
    {.key = "listen", .type = CONFIG_STRING, .offset = AT(local_listen), .check = check_local},
    {.key = "group", .type = CONFIG_STRING, .offset = AT(local_group), .check = check_group},
    {0},
};

#define TEXT_OF(number) #number
#define TEXT(number) TEXT_OF(number)

static const struct config_field limit_fields[] = {
    {.key = "handshakes",
     .type = CONFIG_INTEGER,
     .offset = AT(handshakes),
     .initial = TEXT(SIDECAR_HANDSHAKES),
     .minimum = 1,
     .maximum = 1000000},
    {.key = "handshakes_per_source",
     .type = CONFIG_INTEGER,
     .offset = AT(handshakes_per_source),
     .initial = TEXT(SIDECAR_HANDSHAKES_PER_SOURCE),
     .minimum = 1,
     .maximum = 1000000},
    {0},
};

static const struct config_field fields[] = {
    {.key = "identity",
     .type = CONFIG_SECTION,
     .fields = identity_fields,
     .is_required = true,
     .place_offset = AT(identity_place)},
    {.key = "identities",
     .type = CONFIG_LIST,
     .offset = AT(more_identities),
     .fields = more_identity_fields,
     .item_bytes = sizeof(struct sidecar_more_identity)},
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
    {.key = "local", .type = CONFIG_SECTION, .fields = local_fields},
    {.key = "zone", .type = CONFIG_STRING, .offset = AT(zone), .check = check_zone},
    {.key = "workers",
     .type = CONFIG_INTEGER,
     .offset = AT(workers),
     .initial = "0",
     .minimum = 0,
     .maximum = 64},
    {.key = "resumption", .type = CONFIG_BOOL, .offset = AT(is_resuming), .initial = "true"},
    {.key = "timeouts", .type = CONFIG_SECTION, .fields = timeout_fields},
    {.key = "limits", .type = CONFIG_SECTION, .fields = limit_fields},
    {.key = "log", .type = CONFIG_SECTION, .fields = log_fields},
    {0},
};

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
    result = config->path != NULL ? sidecar_config_check(config, error)
                                  : rm_error_set(error, RM_ERR_NO_MEMORY, "out of memory");
    if (result != RM_OK) {
        sidecar_config_unref(config);
        return result;
    }
    *out = config;
    return RM_OK;
}

const struct sidecar_identity_files *sidecar_config_files(const struct sidecar_config *config,
                                                          size_t index)
{
    const struct sidecar_more_identity *more = config->more_identities.items;
    return index == 0 ? &config->files : &more[index - 1].files;
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
