// SPDX-License-Identifier: GPL-3.0-or-later
//
// Attestation as a whole: make, load, free, and the names of refusals.
#include "attest/attest.h"

#include <string.h>

#include "attest/attest_internal.h"
#include "base/alloc.h"
#include "base/log.h"

const char *attest_refusal_name(enum attest_refusal refusal)
{
    static const char *const names[] = {
        [ATTEST_REFUSAL_NONE] = "none",
        [ATTEST_REFUSAL_NO_EVIDENCE] = "no_evidence",
        [ATTEST_REFUSAL_TOKEN_MALFORMED] = "token_malformed",
        [ATTEST_REFUSAL_TOKEN_UNKNOWN] = "token_unknown",
        [ATTEST_REFUSAL_TOKEN_EXPIRED] = "token_expired",
        [ATTEST_REFUSAL_TOKEN_USED] = "token_used",
        [ATTEST_REFUSAL_CSR_INVALID] = "csr_invalid",
        [ATTEST_REFUSAL_LINEAGE_UNKNOWN] = "lineage_unknown",
        [ATTEST_REFUSAL_LINEAGE_LAPSED] = "lineage_lapsed",
        [ATTEST_REFUSAL_LINEAGE_REVOKED] = "lineage_revoked",
        [ATTEST_REFUSAL_LINEAGE_ENDED] = "lineage_ended",
        [ATTEST_REFUSAL_LINEAGE_FORKED] = "lineage_forked",
        [ATTEST_REFUSAL_REJOIN_UNKNOWN] = "rejoin_unknown",
        [ATTEST_REFUSAL_REJOIN_INVALID] = "rejoin_invalid",
        [ATTEST_REFUSAL_RATE_LIMITED] = "rate_limited",
        [ATTEST_REFUSAL_BUSY] = "busy",
        [ATTEST_REFUSAL_STORE_UNAVAILABLE] = "store_unavailable",
    };
    _Static_assert(sizeof names / sizeof *names == ATTEST_REFUSAL_COUNT, "each has a name");
    return (size_t)refusal < ATTEST_REFUSAL_COUNT ? names[refusal] : "unknown";
}

const char *attest_refusal_text(enum attest_refusal refusal)
{
    static const char *const texts[] = {
#define REFUSAL_TEXT(name, text) text,
        ATTEST_REFUSAL_LIST(REFUSAL_TEXT)
#undef REFUSAL_TEXT
    };
    return (size_t)refusal < ATTEST_REFUSAL_COUNT ? texts[refusal] : "unknown";
}

static void release(struct attest *attest)
{
    timer_stop(&attest->collect);
    timer_stop(&attest->reload);
    attest_cache_deinit(attest);
    rate_free(attest->attestations);
    rate_free(attest->signings);
    rm_free((char *)attest->options.trust_domain);
    rm_free(attest);
}

enum rm_err attest_new(struct loop *loop, struct store *store, struct authority *authority,
                       const struct attest_options *options, struct attest **out)
{
    *out = NULL;
    struct attest *attest = rm_calloc(1, sizeof *attest);
    if (attest == NULL) {
        return RM_ERR_NO_MEMORY;
    }
    attest->loop = loop;
    attest->store = store;
    attest->authority = authority;
    attest->options = *options;
    backoff_init(&attest->reload_backoff, ATTEST_RELOAD_MIN_MS, ATTEST_RELOAD_MAX_MS);
    timer_init(&attest->reload, loop, attest_on_reload_timer, attest);
    timer_init(&attest->collect, loop, attest_collect_on_timer, attest);
    attest->options.trust_domain = rm_strdup(options->trust_domain);
    attest->attestations = rate_new(options->attestations_per_s, options->attestation_burst);
    attest->signings = rate_new(options->signings_per_s, options->signing_burst);
    if (attest->options.trust_domain == NULL || attest->attestations == NULL ||
        attest->signings == NULL || attest_cache_init(attest) != RM_OK ||
        timer_start(&attest->collect, ATTEST_COLLECT_FIRST_MS) != RM_OK) {
        release(attest);
        return RM_ERR_NO_MEMORY;
    }
    *out = attest;
    return RM_OK;
}

void attest_set_options(struct attest *attest, const struct attest_options *options)
{
    const char *trust_domain = attest->options.trust_domain;
    attest->options = *options;
    attest->options.trust_domain = trust_domain;
    rate_set(attest->attestations, options->attestations_per_s, options->attestation_burst);
    rate_set(attest->signings, options->signings_per_s, options->signing_burst);
}

void attest_free(struct attest *attest)
{
    if (attest == NULL) {
        return;
    }
    attest->is_freed = true;
    timer_stop(&attest->collect);
    timer_stop(&attest->reload);
    attest_unwatch(attest);
    if (attest->pending_count == 0) {
        release(attest);
    }
}

void attest_leave(struct attest *attest)
{
    attest->pending_count--;
    if (attest->is_freed && attest->pending_count == 0) {
        release(attest);
    }
}

const struct lineage_record *attest_lineage(const struct attest *attest,
                                            const uint8_t lineage[LINEAGE_BYTES])
{
    const struct cached_lineage *found = attest_find_lineage(attest, lineage);
    return found != NULL ? &found->record : NULL;
}

struct visit {
    attest_visit_fn visit; // of the caller
    void *context;         // for visit
};

static void visit_one(void *context, const void *key, size_t key_length, void *value)
{
    const struct visit *visit = context;
    const struct cached_lineage *lineage = value;
    (void)key_length;
    visit->visit(visit->context, key, &lineage->record);
}

void attest_each_lineage(const struct attest *attest, attest_visit_fn visit, void *context)
{
    struct visit each = {visit, context};
    map_visit(attest->lineages, visit_one, &each);
}
