// SPDX-License-Identifier: GPL-3.0-or-later
#include "api/access.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "api/access_internal.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "identity/spiffe.h"
#include "identity/verdict.h"
#include "records/records.h"

struct access {
    char *trust_domain;                   // own; owned
    struct record_strings admins;         // SPIFFE IDs
    gid_t admin_group;                    // GROUP_NONE: none
    struct trust_source source;           // of the snapshot that judges
    char text[RPC_MAX_STATUS_TEXT_BYTES]; // of the last refusal
};

static const struct access_rule rules[] = {
    {"/remora.identity.v1.Identity/Issue", ACCESS_ANYONE},
    {"/remora.identity.v1.Identity/WatchTrust", ACCESS_ANYONE},
    {"/remora.mesh.v1.Mesh/Sync", ACCESS_WORKLOAD},
    {"/remora.admin.v1.Admin/GetStatus", ACCESS_ADMIN},
    {"/remora.admin.v1.Admin/CreateService", ACCESS_ADMIN},
    {"/remora.admin.v1.Admin/UpdateService", ACCESS_ADMIN},
    {"/remora.admin.v1.Admin/DeleteService", ACCESS_ADMIN},
    {"/remora.admin.v1.Admin/ListServices", ACCESS_ADMIN},
    {"/remora.admin.v1.Admin/CreateToken", ACCESS_ADMIN},
    {"/remora.admin.v1.Admin/DeleteToken", ACCESS_ADMIN},
    {"/remora.admin.v1.Admin/ListTokens", ACCESS_ADMIN},
    {"/remora.admin.v1.Admin/ListIdentities", ACCESS_ADMIN},
    {"/remora.admin.v1.Admin/ListCertificates", ACCESS_ADMIN},
    {"/remora.admin.v1.Admin/RevokeCertificate", ACCESS_ADMIN},
    {"/remora.admin.v1.Admin/GetBundle", ACCESS_ADMIN},
    {"/remora.admin.v1.Admin/Backup", ACCESS_ADMIN},
    // Answered by the rpc room itself; here so that the table is whole.
    {"/grpc.health.v1.Health/Check", ACCESS_ANYONE},
    {"/grpc.health.v1.Health/Watch", ACCESS_ANYONE},
    {"/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", ACCESS_ANYONE},
    {"/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", ACCESS_ANYONE},
};

const struct access_rule *access_rules(size_t *count)
{
    *count = sizeof rules / sizeof *rules;
    return rules;
}

enum access_class access_class_of(const char *path)
{
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        if (strcmp(rules[i].path, path) == 0) {
            return rules[i].caller;
        }
    }
    return ACCESS_NOBODY;
}

enum rm_err access_new(const struct access_options *options, struct access **out)
{
    *out = NULL;
    struct access *access = rm_calloc(1, sizeof *access);
    if (access == NULL) {
        return RM_ERR_NO_MEMORY;
    }
    access->source = options->source;
    access->trust_domain = rm_strdup(options->trust_domain);
    if (access->trust_domain == NULL ||
        access_set_admins(access, options->admins, options->admin_count, options->admin_group) !=
            RM_OK) {
        access_free(access);
        return RM_ERR_NO_MEMORY;
    }
    *out = access;
    return RM_OK;
}

void access_free(struct access *access)
{
    if (access == NULL) {
        return;
    }
    rm_free(access->trust_domain);
    record_strings_deinit(&access->admins);
    rm_free(access);
}

enum rm_err access_set_admins(struct access *access, const char *const *admins, size_t count,
                              gid_t group)
{
    struct record_strings copy;
    RM_TRY(record_strings_dup(admins, count, &copy));
    record_strings_deinit(&access->admins);
    access->admins = copy;
    access->admin_group = group;
    return RM_OK;
}

static bool is_admin_id(const struct access *access, const char *spiffe_id)
{
    for (size_t i = 0; i < access->admins.count; i++) {
        if (strcmp(access->admins.items[i], spiffe_id) == 0) {
            return true;
        }
    }
    return false;
}

static enum verdict_reason judge_peer(const struct access *access, const struct peer *peer,
                                      bool is_live)
{
    struct chain_facts facts;
    verdict_facts_of_peer(peer, &facts);
    struct verdict_question question = {
        .facts = &facts,
        .trust = access->source.trust(access->source.context),
        .now_s = clock_wall_s(),
        .role = VERDICT_ROLE_CLIENT,
        .is_live = is_live,
    };
    return verdict_judge(&question).reason;
}

static bool is_in_own_domain(const struct access *access, const struct peer *peer)
{
    struct spiffe_id id;
    return spiffe_id_parse(peer->spiffe_id, peer->spiffe_id_length, &id, NULL) == RM_OK &&
           spiffe_id_in_domain(&id, access->trust_domain);
}

static enum rpc_status refuse(struct access *access, enum rpc_status status, const char *name,
                              const char *text)
{
    snprintf(access->text, sizeof access->text, "%s: %s", name, text);
    return status;
}

static enum rpc_status check_unix(struct access *access, enum access_class wanted,
                                  const struct access_caller *caller)
{
    if (wanted == ACCESS_ANYONE) {
        return RPC_OK;
    }
    if (wanted == ACCESS_WORKLOAD) {
        return refuse(access, RPC_UNAUTHENTICATED, "no_svid",
                      "this method is for workloads, over TLS with their certificate");
    }
    if (stream_credentials_may_administer(&caller->credentials, access->admin_group)) {
        return RPC_OK;
    }
    return refuse(access, RPC_PERMISSION_DENIED, "not_an_admin",
                  "the admin socket serves root, the server's own user and the configured group");
}

static enum rpc_status check_svid(struct access *access, enum access_class wanted,
                                  const struct peer *peer)
{
    enum verdict_reason reason = judge_peer(access, peer, false);
    if (reason != VERDICT_REASON_OK) {
        return refuse(access, RPC_PERMISSION_DENIED, fault_name(verdict_fault(reason)),
                      fault_sentence(verdict_fault(reason)));
    }
    if (wanted == ACCESS_ANYONE) {
        return RPC_OK;
    }
    if (!is_in_own_domain(access, peer)) {
        return refuse(access, RPC_PERMISSION_DENIED, "foreign_trust_domain",
                      "this method is for workloads of the control plane's own trust domain");
    }
    if (wanted == ACCESS_ADMIN && !is_admin_id(access, peer->spiffe_id)) {
        return refuse(access, RPC_PERMISSION_DENIED, "not_an_admin",
                      "this SPIFFE ID is not listed in the control plane's 'admins'");
    }
    return RPC_OK;
}

enum rpc_status access_judge(struct access *access, const char *path,
                             const struct access_caller *caller, const char **text)
{
    *text = access->text;
    enum access_class wanted = access_class_of(path);
    if (wanted == ACCESS_NOBODY) {
        return refuse(access, RPC_PERMISSION_DENIED, "unknown_method",
                      "nobody was given access to this method");
    }
    if (caller->is_unix) {
        return check_unix(access, wanted, caller);
    }
    if (caller->peer != NULL) {
        return check_svid(access, wanted, caller->peer);
    }
    if (wanted == ACCESS_ANYONE) {
        return RPC_OK;
    }
    return refuse(access, RPC_UNAUTHENTICATED, "no_certificate",
                  "this method needs a client certificate of the mesh");
}

enum rpc_status access_check(struct access *access, struct rpc_call *call, const char *path,
                             const char **text)
{
    struct access_caller caller;
    access_caller_of(call, &caller);
    enum rpc_status status = access_judge(access, path, &caller, text);
    static struct log_limit limit;
    uint64_t suppressed = 0;
    if (status != RPC_OK && log_limit_pass(&limit, &suppressed)) {
        char actor[ACCESS_ACTOR_BYTES];
        access_actor(call, actor);
        log_warn(LOG_API, "call_refused", LOG_STR("method", path), LOG_STR("caller", actor),
                 LOG_STR("status", rpc_status_name(status)), LOG_STR("reason", *text),
                 LOG_U64("suppressed", suppressed));
    }
    return status;
}

bool access_still_holds(struct access *access, const struct peer *peer)
{
    return judge_peer(access, peer, true) == VERDICT_REASON_OK;
}
