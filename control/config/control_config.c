// SPDX-License-Identifier: GPL-3.0-or-later
#include "config/control_config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "identity/spiffe.h"
#include "mesh/resource.h"

static const char *const modes[] = {"self", "offline-root", NULL};
static const char *const log_levels[] = {"debug", "info", "warn", "error", NULL};
static const char *const log_formats[] = {"auto", "text", "json", NULL};

#define SECOND INT64_C(1000)
#define MOST_PER_SECOND 1000000 // of any limit: a bench may want none

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

#define AT(member) offsetof(struct control_config, member)

static const struct config_field admin_socket_fields[] = {
    {.key = "path",
     .type = CONFIG_STRING,
     .offset = AT(admin_socket_path),
     .place_offset = AT(socket_place)},
    {.key = "group",
     .type = CONFIG_STRING,
     .offset = AT(admin_group),
     .place_offset = AT(group_place)},
    {0},
};

static const struct config_field certificates_fields[] = {
    {.key = "lifetime",
     .type = CONFIG_DURATION,
     .offset = AT(certificates.lifetime_ms),
     .initial = "1h",
     .minimum = CONTROL_LEAST_TEST_LIFETIME_MS,
     .maximum = CONTROL_MOST_LIFETIME_MS,
     .place_offset = AT(certificates.place)},
    {.key = "minimum",
     .type = CONFIG_DURATION,
     .offset = AT(certificates.minimum_ms),
     .minimum = CONTROL_LEAST_TEST_LIFETIME_MS,
     .maximum = CONTROL_MOST_LIFETIME_MS},
    {.key = "maximum",
     .type = CONFIG_DURATION,
     .offset = AT(certificates.maximum_ms),
     .initial = "24h",
     .minimum = CONTROL_LEAST_TEST_LIFETIME_MS,
     .maximum = CONTROL_MOST_LIFETIME_MS},
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
    {0},
};

#define LIMIT(name, value)                                                                         \
    {                                                                                              \
        .key = #name, .type = CONFIG_INTEGER, .offset = AT(limits.name), .initial = (value),       \
        .minimum = 1, .maximum = MOST_PER_SECOND                                                   \
    }
static const struct config_field limit_fields[] = {
    LIMIT(attestations_per_second, "1"),
    LIMIT(attestation_burst, "10"),
    LIMIT(signings_per_second, "50"),
    LIMIT(signing_burst, "50"),
    {0},
};

static const struct config_field fields[] = {
    {.key = "trust_domain",
     .type = CONFIG_STRING,
     .offset = AT(trust_domain),
     .is_required = true,
     .check = check_domain},
    {.key = "data_dir", .type = CONFIG_STRING, .offset = AT(data_dir), .is_required = true},
    {.key = "listen",
     .type = CONFIG_STRING,
     .offset = AT(listen),
     .initial = "0.0.0.0:15010",
     .check = check_address},
    {.key = "dns_names", .type = CONFIG_STRINGS, .offset = AT(dns_names), .check = mesh_name_check},
    {.key = "admin_socket", .type = CONFIG_SECTION, .fields = admin_socket_fields},
    {.key = "admins",
     .type = CONFIG_STRINGS,
     .offset = AT(admins),
     .check = check_id,
     .place_offset = AT(admins_place)},
    {.key = "kek_file", .type = CONFIG_STRING, .offset = AT(kek_file)},
    {.key = "certificates", .type = CONFIG_SECTION, .fields = certificates_fields},
    {.key = "test_lifetimes", .type = CONFIG_BOOL, .offset = AT(is_test_lifetimes)},
    {.key = "mode", .type = CONFIG_CHOICE, .offset = AT(mode), .initial = "self", .choices = modes},
    {.key = "health",
     .type = CONFIG_STRING,
     .offset = AT(health_listen),
     .initial = "127.0.0.1:15014",
     .check = check_address},
    {.key = "log", .type = CONFIG_SECTION, .fields = log_fields},
    {.key = "limits", .type = CONFIG_SECTION, .fields = limit_fields},
    {.key = "drain",
     .type = CONFIG_DURATION,
     .offset = AT(drain_ms),
     .initial = "10s",
     .minimum = 0,
     .maximum = 3600 * SECOND},
    {0},
};

static char *join(const char *folder, const char *name)
{
    size_t bytes = strlen(folder) + strlen(name) + 2;
    char *path = rm_malloc(bytes);
    if (path != NULL) {
        snprintf(path, bytes, "%s/%s", folder, name);
    }
    return path;
}

static enum rm_err check_lifetimes(struct control_config *config, struct rm_error *error)
{
    struct control_certificates *certificates = &config->certificates;
    int64_t least_ms =
        config->is_test_lifetimes ? CONTROL_LEAST_TEST_LIFETIME_MS : CONTROL_LEAST_LIFETIME_MS;
    if (certificates->minimum_ms == 0) {
        certificates->minimum_ms = least_ms;
    }
    if (certificates->lifetime_ms < least_ms || certificates->minimum_ms < least_ms) {
        return config_fail(error, config->path, certificates->place,
                           "certificates must live 5 minutes at least: shorter ones leave no time "
                           "to react to a fault; for tests, say 'test_lifetimes: true'");
    }
    if (certificates->lifetime_ms < certificates->minimum_ms ||
        certificates->lifetime_ms > certificates->maximum_ms) {
        return config_fail(error, config->path, certificates->place,
                           "certificates.lifetime must lie between 'minimum' and 'maximum'");
    }
    return RM_OK;
}

static enum rm_err check_admins(const struct control_config *config, struct rm_error *error)
{
    for (size_t i = 0; i < config->admins.count; i++) {
        struct spiffe_id id;
        const char *text = config->admins.items[i];
        RM_TRY(spiffe_id_parse(text, strlen(text), &id, error));
        if (!spiffe_id_in_domain(&id, config->trust_domain) || id.path_length == 0) {
            return config_fail(error, config->path, config->admins_place,
                               "admin '%s' is no workload of the trust domain '%s'", text,
                               config->trust_domain);
        }
    }
    return RM_OK;
}

static enum rm_err choose_group(struct control_config *config, struct rm_error *error)
{
    config->admin_gid = GROUP_NONE;
    if (config->admin_group == NULL) {
        return RM_OK;
    }
    enum rm_err result = group_find(config->admin_group, &config->admin_gid);
    return result == RM_OK
               ? RM_OK
               : config_fail(error, config->path, config->group_place,
                             "there is no group '%s' on this machine", config->admin_group);
}

static enum rm_err choose_socket(struct control_config *config, struct rm_error *error)
{
    char text[256];
    config->admin_path = config->admin_socket_path != NULL ? rm_strdup(config->admin_socket_path)
                                                           : join(config->data_dir, "admin.sock");
    if (config->admin_path == NULL) {
        return rm_error_set(error, RM_ERR_NO_MEMORY, "out of memory");
    }
    int length = snprintf(text, sizeof text, "unix:%s", config->admin_path);
    if (length >= (int)sizeof text ||
        socket_address_parse(text, &config->admin_address, NULL) != RM_OK) {
        return config_fail(error, config->path, config->socket_place,
                           "'%s' is too long for a Unix socket: set admin_socket.path to a shorter "
                           "one",
                           config->admin_path);
    }
    return RM_OK;
}

// Stated, or handed in by systemd, or beside the data.
static enum rm_err choose_kek(struct control_config *config, struct rm_error *error)
{
    const char *credentials = getenv("CREDENTIALS_DIRECTORY");
    if (config->kek_file != NULL) {
        config->kek_path = rm_strdup(config->kek_file);
    } else if (credentials != NULL) {
        config->kek_path = join(credentials, CONTROL_KEK_CREDENTIAL);
        if (config->kek_path != NULL && access(config->kek_path, F_OK) != 0) {
            rm_free(config->kek_path);
            config->kek_path = NULL;
        }
    }
    if (config->kek_path == NULL) {
        config->kek_path = join(config->data_dir, "kek");
        config->is_kek_in_data_dir = true;
    }
    return config->kek_path != NULL ? RM_OK
                                    : rm_error_set(error, RM_ERR_NO_MEMORY, "out of memory");
}

static enum rm_err check_all(struct control_config *config, struct rm_error *error)
{
    RM_TRY(check_lifetimes(config, error));
    RM_TRY(check_admins(config, error));
    RM_TRY(choose_group(config, error));
    RM_TRY(choose_socket(config, error));
    RM_TRY(choose_kek(config, error));
    RM_TRY(socket_address_parse(config->listen, &config->listen_address, error));
    return socket_address_parse(config->health_listen, &config->health_address, error);
}

enum rm_err control_config_read(const char *path, struct control_config **out,
                                struct rm_error *error)
{
    *out = NULL;
    struct control_config *config = rm_calloc(1, sizeof *config);
    if (config == NULL) {
        return rm_error_set(error, RM_ERR_NO_MEMORY, "out of memory");
    }
    enum rm_err result = config_read(path, fields, config, sizeof *config, error);
    if (result != RM_OK) {
        rm_free(config);
        return result;
    }
    config->path = rm_strdup(path);
    result = config->path != NULL ? check_all(config, error)
                                  : rm_error_set(error, RM_ERR_NO_MEMORY, "out of memory");
    if (result != RM_OK) {
        control_config_free(config);
        return result;
    }
    *out = config;
    return RM_OK;
}

void control_config_free(struct control_config *config)
{
    if (config == NULL) {
        return;
    }
    rm_free(config->path);
    rm_free(config->admin_path);
    rm_free(config->kek_path);
    config_free(fields, config);
    rm_free(config);
}

enum rm_err control_config_check_reload(const struct control_config *current,
                                        const struct control_config *next, struct rm_error *error)
{
    const struct {
        const char *key;     // as in the file
        const char *current; // in force
        const char *next;    // wanted
    } fixed[] = {
        {"trust_domain", current->trust_domain, next->trust_domain},
        {"data_dir", current->data_dir, next->data_dir},
        {"listen", current->listen, next->listen},
        {"health", current->health_listen, next->health_listen},
        {"admin_socket.path", current->admin_path, next->admin_path},
        {"kek_file", current->kek_path, next->kek_path},
    };
    for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++) {
        if (strcmp(fixed[i].current, fixed[i].next) != 0) {
            return rm_error_set(error, RM_ERR_CONFIG,
                                "%s: '%s' cannot change while the control plane runs ('%s' to "
                                "'%s'): restart it",
                                next->path, fixed[i].key, fixed[i].current, fixed[i].next);
        }
    }
    // The socket has its mode and group from when it was made.
    if (current->admin_gid != next->admin_gid) {
        return rm_error_set(error, RM_ERR_CONFIG,
                            "%s: 'admin_socket.group' cannot change while the control plane runs: "
                            "restart it",
                            next->path);
    }
    return RM_OK;
}
