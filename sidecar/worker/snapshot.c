// SPDX-License-Identifier: GPL-3.0-or-later
#include "worker/snapshot.h"

#include <string.h>

#include "base/alloc.h"
#include "base/log.h"
#include "identity/spiffe.h"

// The trust domain of our own SPIFFE ID as an owned string; NULL without identity or memory.
static char *own_domain(const struct tls_identity *identity)
{
    struct spiffe_id id;
    if (identity == NULL || identity->spiffe_id == NULL ||
        spiffe_id_parse(identity->spiffe_id, strlen(identity->spiffe_id), &id, NULL) != RM_OK) {
        return NULL;
    }
    return rm_strndup(id.trust_domain, id.trust_domain_length);
}

static struct policy *local_policy(const struct snapshot *snapshot,
                                   const struct sidecar_inbound_service *service,
                                   struct rm_error *error)
{
    struct policy_rule *rules = rm_calloc(service->allow.count + 1, sizeof *rules);
    struct policy *policy = NULL;
    if (rules == NULL) {
        return NULL;
    }
    for (size_t i = 0; i < service->allow.count; i++) {
        rules[i] = (struct policy_rule){POLICY_ALLOW, POLICY_ENFORCE, service->allow.items[i]};
    }
    // A list in the configuration guards by itself; without one the default decides.
    if (policy_new(rules, service->allow.count, service->allow.count > 0, false,
                   snapshot_own(snapshot, service->own_index).trust_domain, &policy,
                   error) != RM_OK) {
        policy = NULL;
    }
    rm_free(rules);
    return policy;
}

static bool make_rules(const struct snapshot *snapshot,
                       const struct sidecar_inbound_service *service, struct snapshot_rules *rules,
                       struct rm_error *error)
{
    bool has_control = snapshot->config->control.address != NULL;
    if (!has_control || service->allow.count > 0) {
        rules->local = local_policy(snapshot, service, error);
        if (rules->local == NULL) {
            return false;
        }
    }
    const struct mesh_resource *record =
        mesh_view_find(snapshot->view, MESH_SERVICE, service->name);
    if (!has_control || record == NULL) {
        return true;
    }
    rules->is_owned = record->of.service.port == service->port &&
                      mesh_service_has_identity(&record->of.service, snapshot->identity->spiffe_id,
                                                strlen(snapshot->identity->spiffe_id));
    return mesh_service_policy(&record->of.service, snapshot->own_trust_domain, &rules->mesh,
                               error) == RM_OK;
}

// Before the first identity nobody can be judged, so there are no rules yet.
static bool make_all_rules(struct snapshot *snapshot)
{
    const struct config_list *services = &snapshot->config->services;
    if (services->count == 0) {
        return true;
    }
    for (size_t i = 0; i < snapshot_own_count(snapshot); i++) {
        if (snapshot_own(snapshot, i).identity == NULL) {
            return true;
        }
    }
    snapshot->rules = rm_calloc(services->count, sizeof *snapshot->rules);
    if (snapshot->rules == NULL) {
        return false;
    }
    snapshot->rule_count = services->count;
    const struct sidecar_inbound_service *items = services->items;
    for (size_t i = 0; i < services->count; i++) {
        struct rm_error error = {0};
        if (!make_rules(snapshot, &items[i], &snapshot->rules[i], &error)) {
            log_error(LOG_INBOUND, "rules_not_made", LOG_STR("service", items[i].name),
                      LOG_STR("error", rm_error_message(&error)));
            return false;
        }
    }
    return true;
}

static enum fault refusal_of(const struct policy *policy, const char *spiffe_id, size_t length)
{
    struct policy_decision decision = policy_decide(policy, spiffe_id, length);
    return policy_fault(&decision);
}

enum fault snapshot_decide(const struct snapshot *snapshot, size_t service, const char *spiffe_id,
                           size_t spiffe_id_length)
{
    if (service >= snapshot->rule_count) {
        return FAULT_IDENTITY_MISSING;
    }
    const struct snapshot_rules *rules = &snapshot->rules[service];
    enum fault refusal = FAULT_OK;
    if (snapshot->config->control.address != NULL) {
        if (rules->mesh == NULL) {
            return mesh_view_is_complete(snapshot->view) ? FAULT_SERVICE_UNKNOWN
                                                         : FAULT_VIEW_MISSING;
        }
        if (!rules->is_owned) {
            return FAULT_SERVICE_NOT_OWNED;
        }
        refusal = refusal_of(rules->mesh, spiffe_id, spiffe_id_length);
    }
    if (refusal == FAULT_OK && rules->local != NULL) {
        refusal = refusal_of(rules->local, spiffe_id, spiffe_id_length);
    }
    return refusal;
}

struct snapshot_own snapshot_own(const struct snapshot *snapshot, size_t index)
{
    if (index == 0) {
        return (struct snapshot_own){snapshot->identity, snapshot->trust,
                                     snapshot->own_trust_domain};
    }
    return index <= snapshot->more_count ? snapshot->more[index - 1] : (struct snapshot_own){0};
}

size_t snapshot_own_count(const struct snapshot *snapshot)
{
    return 1 + snapshot->more_count;
}

static bool share_more(struct snapshot *snapshot, const struct snapshot_own *more, size_t count)
{
    snapshot->more = count > 0 ? rm_calloc(count, sizeof *snapshot->more) : NULL;
    if (count > 0 && snapshot->more == NULL) {
        return false;
    }
    snapshot->more_count = count;
    for (size_t i = 0; i < count; i++) {
        struct snapshot_own *own = &snapshot->more[i];
        own->identity = more[i].identity != NULL ? tls_identity_ref(more[i].identity) : NULL;
        own->trust = more[i].trust != NULL ? trust_ref(more[i].trust) : NULL;
        own->trust_domain = own_domain(own->identity);
        if (own->identity != NULL && own->trust_domain == NULL) {
            return false;
        }
    }
    return true;
}

static void drop_more(struct snapshot *snapshot)
{
    for (size_t i = 0; i < snapshot->more_count; i++) {
        tls_identity_unref(snapshot->more[i].identity);
        trust_unref(snapshot->more[i].trust);
        rm_free((char *)(uintptr_t)snapshot->more[i].trust_domain); // ours
    }
    rm_free(snapshot->more);
}

struct snapshot *snapshot_new(struct sidecar_config *config, struct tls_identity *identity,
                              struct trust_snapshot *trust, struct mesh_view *view,
                              int64_t view_received_mono_ms, uint64_t generation,
                              const struct snapshot_own *more, size_t more_count)
{
    struct snapshot *snapshot = rm_calloc(1, sizeof *snapshot);
    if (snapshot == NULL) {
        return NULL;
    }
    snapshot->own_trust_domain = own_domain(identity);
    if (identity != NULL && snapshot->own_trust_domain == NULL) {
        rm_free(snapshot);
        return NULL;
    }
    snapshot->config = sidecar_config_ref(config);
    snapshot->identity = identity != NULL ? tls_identity_ref(identity) : NULL;
    snapshot->trust = trust != NULL ? trust_ref(trust) : NULL;
    snapshot->view = mesh_view_ref(view);
    snapshot->view_received_mono_ms = view_received_mono_ms;
    snapshot->generation = generation;
    snapshot->ref_count = 1;
    if (!share_more(snapshot, more, more_count) || !make_all_rules(snapshot)) {
        snapshot_unref(snapshot);
        return NULL;
    }
    return snapshot;
}

struct snapshot *snapshot_ref(struct snapshot *snapshot)
{
    __atomic_add_fetch(&snapshot->ref_count, 1, __ATOMIC_RELAXED);
    return snapshot;
}

void snapshot_unref(struct snapshot *snapshot)
{
    if (snapshot == NULL || __atomic_sub_fetch(&snapshot->ref_count, 1, __ATOMIC_ACQ_REL) > 0) {
        return;
    }
    for (size_t i = 0; i < snapshot->rule_count; i++) {
        policy_unref(snapshot->rules[i].local);
        policy_unref(snapshot->rules[i].mesh);
    }
    rm_free(snapshot->rules);
    sidecar_config_unref(snapshot->config);
    tls_identity_unref(snapshot->identity);
    trust_unref(snapshot->trust);
    mesh_view_unref(snapshot->view);
    rm_free(snapshot->own_trust_domain);
    drop_more(snapshot);
    rm_free(snapshot);
}
