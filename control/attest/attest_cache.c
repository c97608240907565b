// SPDX-License-Identifier: GPL-3.0-or-later
//
// Tokens, lineages and re-join keys in memory, kept in step with the store by watches. A watch
// tells of a transaction before the transaction's own callback, so that what was committed is what
// the next judgement sees.
#include <string.h>

#include "attest/attest_internal.h"
#include "base/alloc.h"
#include "base/encode.h"
#include "base/log.h"
#include "records/records_wire.h"

struct cached_token *attest_find_token(const struct attest *attest, const char *id)
{
    return map_get(attest->tokens, id, strlen(id));
}

struct cached_lineage *attest_find_lineage(const struct attest *attest,
                                           const uint8_t id[LINEAGE_BYTES])
{
    return map_get(attest->lineages, id, LINEAGE_BYTES);
}

struct cached_rejoin *attest_find_rejoin(const struct attest *attest,
                                         const uint8_t key_hash[KEY_ID_BYTES])
{
    return map_get(attest->rejoins, key_hash, KEY_ID_BYTES);
}

static void token_free(struct cached_token *token)
{
    if (token != NULL) {
        token_record_deinit(&token->record);
        rm_free(token);
    }
}

static void lineage_free(struct cached_lineage *lineage)
{
    if (lineage != NULL) {
        timer_stop(&lineage->lapse);
        lineage_record_deinit(&lineage->record);
        rm_free(lineage);
    }
}

static void rejoin_free(struct cached_rejoin *rejoin)
{
    if (rejoin != NULL) {
        rejoin_record_deinit(&rejoin->record);
        rm_free(rejoin);
    }
}

// --- One change of the store. A record that cannot be read or kept is not known from then on:
// what it would allow is refused.

static void complain(struct attest *attest, const struct store_entry *entry, enum rm_err result)
{
    if (result == RM_ERR_NO_MEMORY) {
        attest_note_loss(attest);
    } else if (result != RM_OK) {
        log_error(LOG_ATTEST, "record_not_read", LOG_STR("key", entry->key), LOG_ERR(result));
    }
}

static enum rm_err take_token(struct attest *attest, const char *id,
                              const struct store_entry *entry)
{
    struct cached_token *token = rm_calloc(1, sizeof *token);
    void *previous = NULL;
    if (token == NULL) {
        return RM_ERR_NO_MEMORY;
    }
    token->revision = entry->revision;
    enum rm_err result = token_record_decode(entry->value, entry->value_length, &token->record);
    if (result == RM_OK) {
        result = map_put(attest->tokens, id, strlen(id), token, &previous);
    }
    token_free(result == RM_OK ? previous : token);
    return result;
}

void attest_apply_token(void *context, const struct store_entry *entry, bool is_deleted)
{
    struct attest *attest = context;
    const char *id = entry->key + strlen(RECORD_TOKEN_PREFIX);
    enum rm_err result = is_deleted ? RM_OK : take_token(attest, id, entry);
    if (is_deleted || result != RM_OK) {
        token_free(map_remove(attest->tokens, id, strlen(id)));
    }
    complain(attest, entry, result);
}

static enum rm_err lineage_entry(struct attest *attest, const uint8_t id[LINEAGE_BYTES],
                                 struct cached_lineage **out)
{
    *out = attest_find_lineage(attest, id);
    if (*out != NULL) {
        return RM_OK;
    }
    struct cached_lineage *lineage = rm_calloc(1, sizeof *lineage);
    if (lineage == NULL) {
        return RM_ERR_NO_MEMORY;
    }
    lineage->attest = attest;
    memcpy(lineage->id, id, LINEAGE_BYTES);
    timer_init(&lineage->lapse, attest->loop, attest_lapse_on_timer, lineage);
    enum rm_err result = map_put(attest->lineages, id, LINEAGE_BYTES, lineage, NULL);
    if (result != RM_OK) {
        rm_free(lineage);
        return result;
    }
    *out = lineage;
    return RM_OK;
}

static enum rm_err take_lineage(struct attest *attest, const uint8_t id[LINEAGE_BYTES],
                                const struct store_entry *entry)
{
    struct lineage_record record;
    struct cached_lineage *lineage = NULL;
    RM_TRY(lineage_record_decode(entry->value, entry->value_length, &record));
    enum rm_err result = lineage_entry(attest, id, &lineage);
    if (result != RM_OK) {
        lineage_record_deinit(&record);
        return result;
    }
    lineage_record_deinit(&lineage->record);
    lineage->record = record;
    lineage->revision = entry->revision;
    attest_lapse_plan(lineage);
    return RM_OK;
}

void attest_apply_lineage(void *context, const struct store_entry *entry, bool is_deleted)
{
    struct attest *attest = context;
    uint8_t id[LINEAGE_BYTES];
    enum rm_err result = record_key_read_lineage(entry->key, id);
    if (result != RM_OK) {
        complain(attest, entry, result);
        return;
    }
    result = is_deleted ? RM_OK : take_lineage(attest, id, entry);
    if (is_deleted || result != RM_OK) {
        lineage_free(map_remove(attest->lineages, id, sizeof id));
    }
    complain(attest, entry, result);
}

static enum rm_err take_rejoin(struct attest *attest, const uint8_t hash[KEY_ID_BYTES],
                               const struct store_entry *entry)
{
    struct cached_rejoin *rejoin = rm_calloc(1, sizeof *rejoin);
    void *previous = NULL;
    if (rejoin == NULL) {
        return RM_ERR_NO_MEMORY;
    }
    rejoin->revision = entry->revision;
    enum rm_err result = rejoin_record_decode(entry->value, entry->value_length, &rejoin->record);
    if (result == RM_OK) {
        result = map_put(attest->rejoins, hash, KEY_ID_BYTES, rejoin, &previous);
    }
    rejoin_free(result == RM_OK ? previous : rejoin);
    return result;
}

void attest_apply_rejoin(void *context, const struct store_entry *entry, bool is_deleted)
{
    struct attest *attest = context;
    uint8_t hash[KEY_ID_BYTES];
    const char *digits = entry->key + strlen(RECORD_REJOIN_PREFIX);
    enum rm_err result = hex_decode(digits, strlen(digits), hash, sizeof hash);
    if (result != RM_OK) {
        complain(attest, entry, result);
        return;
    }
    result = is_deleted ? RM_OK : take_rejoin(attest, hash, entry);
    if (is_deleted || result != RM_OK) {
        rejoin_free(map_remove(attest->rejoins, hash, sizeof hash));
    }
    complain(attest, entry, result);
}

enum rm_err attest_cache_init(struct attest *attest)
{
    attest->tokens = map_new();
    attest->lineages = map_new();
    attest->rejoins = map_new();
    return attest->tokens != NULL && attest->lineages != NULL && attest->rejoins != NULL
               ? RM_OK
               : RM_ERR_NO_MEMORY;
}

static void free_token_entry(void *context, const void *key, size_t key_length, void *value)
{
    (void)context, (void)key, (void)key_length;
    token_free(value);
}

static void free_lineage_entry(void *context, const void *key, size_t key_length, void *value)
{
    (void)context, (void)key, (void)key_length;
    lineage_free(value);
}

static void free_rejoin_entry(void *context, const void *key, size_t key_length, void *value)
{
    (void)context, (void)key, (void)key_length;
    rejoin_free(value);
}

static void map_release(struct map *map, map_visit_fn free_entry)
{
    if (map != NULL) {
        map_visit(map, free_entry, NULL);
        map_free(map);
    }
}

void attest_cache_deinit(struct attest *attest)
{
    map_release(attest->tokens, free_token_entry);
    map_release(attest->lineages, free_lineage_entry);
    map_release(attest->rejoins, free_rejoin_entry);
}
