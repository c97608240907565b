// SPDX-License-Identifier: GPL-3.0-or-later
//
// What cannot be seen on one value alone: rules between the parts of a sidecar's configuration.
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "config/sidecar_config_internal.h"

#define LISTEN_ADDRESSES_MAX 1024 // each costs a descriptor in every worker

static const struct config_place no_place = {0};

static enum rm_err check_identity(const struct sidecar_config *config, struct rm_error *error)
{
    bool has_control = config->control.address != NULL;
    bool has_files = config->files.certificate != NULL;
    if (has_control == has_files) {
        return config_fail(error, config->path, config->identity_place,
                           "identity needs exactly one of 'control' (with its 'address') and "
                           "'files' (with 'certificate', 'key' and 'bundle')");
    }
    if (has_files && (config->files.key == NULL || config->files.bundle == NULL)) {
        return config_fail(error, config->path, config->files.place,
                           "identity.files needs 'certificate', 'key' and 'bundle'");
    }
    if (has_control && config->control.join_token_file == NULL &&
        config->control.state_dir == NULL) {
        return config_fail(error, config->path, config->control.place,
                           "identity.control needs a 'join_token_file', or a 'state_dir' with an "
                           "earlier re-join key; make a token with 'remora token create'");
    }
    if (has_control && config->control.trust_domain == NULL) {
        return config_fail(error, config->path, config->control.place,
                           "identity.control needs 'trust_domain', so that the control plane can "
                           "be told from an impostor");
    }
    return RM_OK;
}

static enum rm_err check_more_identities(const struct sidecar_config *config,
                                         struct rm_error *error)
{
    const struct sidecar_more_identity *more = config->more_identities.items;
    size_t count = config->more_identities.count;
    if (count > 0 && config->files.certificate == NULL) {
        return config_fail(error, config->path, more[0].files.place,
                           "'identities' go with 'identity.files': a control plane gives a sidecar "
                           "one identity; run a sidecar for each");
    }
    if (count > SIDECAR_MORE_IDENTITIES_MAX) {
        return config_fail(error, config->path, more[0].files.place, "more than %d 'identities'",
                           SIDECAR_MORE_IDENTITIES_MAX);
    }
    for (size_t i = 0; i < count; i++) {
        for (size_t n = 0; n < i; n++) {
            if (strcmp(more[i].name, more[n].name) == 0) {
                return config_fail(error, config->path, more[i].files.place,
                                   "identity '%s' is declared twice", more[i].name);
            }
        }
    }
    return RM_OK;
}

// The number of the identity that `as` names.
static enum rm_err find_own(const struct sidecar_config *config, const char *as,
                            struct config_place place, size_t *index, struct rm_error *error)
{
    const struct sidecar_more_identity *more = config->more_identities.items;
    *index = 0;
    if (as == NULL) {
        return RM_OK;
    }
    for (size_t i = 0; i < config->more_identities.count; i++) {
        if (strcmp(more[i].name, as) == 0) {
            *index = i + 1;
            return RM_OK;
        }
    }
    return config_fail(error, config->path, place,
                       "'as: %s' names none of this file's 'identities'", as);
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
        RM_TRY(find_own(config, services[i].as, services[i].place, &services[i].own_index, error));
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
    RM_TRY(find_own(config, outbound->as, outbound->place, &outbound->own_index, error));
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

static uint16_t port_of(const struct stream_address *address)
{
    if (address->address.ss_family == AF_INET6) {
        return ntohs(((const struct sockaddr_in6 *)(const void *)&address->address)->sin6_port);
    }
    return address->address.ss_family == AF_INET
               ? ntohs(((const struct sockaddr_in *)(const void *)&address->address)->sin_port)
               : 0;
}

// True when a listener on `any` also gets what is meant for `address`, which has the same port.
static bool is_any_for(const struct stream_address *any, const struct stream_address *address)
{
    if (any->address.ss_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)(const void *)&any->address;
        return IN6_IS_ADDR_UNSPECIFIED(&v6->sin6_addr); // dual stack
    }
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)&any->address;
    return address->address.ss_family == AF_INET && v4->sin_addr.s_addr == htonl(INADDR_ANY);
}

static bool is_overlapping(const struct stream_address *a, const struct stream_address *b)
{
    if (socket_address_equal(a, b)) {
        return true;
    }
    return port_of(a) != 0 && port_of(a) == port_of(b) && (is_any_for(a, b) || is_any_for(b, a));
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
        if (is_overlapping(check->seen[i], address)) {
            return config_fail(error, config->path, place, "%s is listened on twice", text);
        }
    }
    check->seen[check->count++] = address;
    return RM_OK;
}

static enum rm_err check_local(struct sidecar_config *config, struct rm_error *error)
{
    const char *listen = config->local_listen;
    config->local_gid = GROUP_NONE;
    config->has_local = listen == NULL || strcmp(listen, "off") != 0;
    if (config->has_local) {
        RM_TRY(socket_address_parse(listen != NULL ? listen : SIDECAR_LOCAL_LISTEN,
                                    &config->local_address, error));
    }
    if (config->local_group != NULL) {
        RM_TRY(group_find(config->local_group, &config->local_gid));
    }
    return RM_OK;
}

static enum rm_err check_listens(const struct sidecar_config *config, struct listen_check *check,
                                 struct rm_error *error)
{
    const struct sidecar_edge *edges = config->edges.items;
    const struct sidecar_outbound *outbound = config->outbound.items;
    RM_TRY(check_listen(config, check, &config->health_address, no_place, error));
    RM_TRY(check_listen(config, check, &config->metrics_address, no_place, error));
    if (config->has_local) {
        RM_TRY(check_listen(config, check, &config->local_address, no_place, error));
    }
    if (config->services.count > 0) {
        RM_TRY(check_listen(config, check, &config->inbound_address, no_place, error));
    }
    for (size_t i = 0; i < config->edges.count; i++) {
        RM_TRY(check_listen(config, check, &edges[i].listen_address, edges[i].place, error));
    }
    for (size_t i = 0; i < config->outbound.count; i++) {
        RM_TRY(check_listen(config, check, &outbound[i].listen_address, outbound[i].place, error));
    }
    return RM_OK;
}

// A target that is one of our own ports would send a connection round in circles, or open health
// and metrics to the mesh.
static enum rm_err check_targets(const struct sidecar_config *config,
                                 const struct listen_check *listens, struct rm_error *error)
{
    const struct sidecar_inbound_service *services = config->services.items;
    for (size_t i = 0; i < config->services.count; i++) {
        for (size_t n = 0; n < listens->count; n++) {
            if (is_overlapping(listens->seen[n], &services[i].target_address)) {
                return config_fail(error, config->path, services[i].place,
                                   "the target %s of service '%s' is one of this sidecar's own "
                                   "ports; name the application's",
                                   services[i].target, services[i].name);
            }
        }
    }
    return RM_OK;
}

enum rm_err sidecar_config_check(struct sidecar_config *config, struct rm_error *error)
{
    RM_TRY(check_identity(config, error));
    RM_TRY(check_more_identities(config, error));
    RM_TRY(check_services(config, error));
    struct sidecar_outbound *outbound = config->outbound.items;
    for (size_t i = 0; i < config->outbound.count; i++) {
        RM_TRY(check_one_outbound(config, &outbound[i], error));
    }
    RM_TRY(socket_address_parse(config->inbound_listen, &config->inbound_address, error));
    RM_TRY(socket_address_parse(config->health_listen, &config->health_address, error));
    RM_TRY(socket_address_parse(config->metrics_listen, &config->metrics_address, error));
    RM_TRY(check_local(config, error));
    struct listen_check listens = {.count = 0};
    RM_TRY(check_listens(config, &listens, error));
    return check_targets(config, &listens, error);
}
