// SPDX-License-Identifier: GPL-3.0-or-later
#include <string.h>

#include "base/alloc.h"
#include "store/store_internal.h"

#define BACKUP_SUFFIX_BYTES 16 // room that a backup's temporary name needs

static bool is_key(const char *key, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (key[i] < 0x20 || key[i] > 0x7e) {
            return false;
        }
    }
    return true;
}

enum rm_err store_key_check(const char *key, size_t max_bytes)
{
    size_t length = strnlen(key, max_bytes + 1);
    if (length > max_bytes) {
        return RM_ERR_LIMIT;
    }
    return is_key(key, length) ? RM_OK : RM_ERR_MALFORMED;
}

static enum rm_err check_whole_key(const char *key)
{
    return key[0] == '\0' ? RM_ERR_MALFORMED : store_key_check(key, STORE_MAX_KEY_BYTES);
}

void store_prefix_end(const char *prefix, char *out)
{
    size_t length = strlen(prefix);
    if (length == 0) {
        memcpy(out, "\x7f", 2); // behind every printable key
        return;
    }
    memcpy(out, prefix, length + 1);
    out[length - 1]++; // '~' becomes 0x7f: still behind
}

static struct store_request *request_new(enum store_request_kind kind, size_t payload_bytes)
{
    struct store_request *request = rm_calloc(1, sizeof(*request) + payload_bytes);
    if (request != NULL) {
        request->kind = kind;
        request->bytes = sizeof(*request) + payload_bytes;
    }
    return request;
}

// Copies into the payload and moves on.
static const char *place_text(char **at, const char *text)
{
    size_t bytes = strlen(text) + 1;
    const char *placed = memcpy(*at, text, bytes);
    *at += bytes;
    return placed;
}

// --- Transactions. -------------------------------------------------------------------------------

static enum rm_err check_operation(const struct store_operation *operation)
{
    switch (operation->kind) {
    case STORE_PUT:
        if (operation->value_length > STORE_MAX_VALUE_BYTES) {
            return RM_ERR_LIMIT;
        }
        return check_whole_key(operation->key);
    case STORE_DELETE:
        return check_whole_key(operation->key);
    case STORE_DELETE_PREFIX:
        return store_key_check(operation->key, STORE_MAX_KEY_BYTES);
    }
    return RM_ERR_INTERNAL;
}

static enum rm_err measure_commit(const struct store_condition *conditions, size_t condition_count,
                                  const struct store_operation *operations, size_t operation_count,
                                  size_t *payload_bytes)
{
    if (condition_count > STORE_MAX_OPERATIONS || operation_count > STORE_MAX_OPERATIONS) {
        return RM_ERR_LIMIT;
    }
    *payload_bytes = operation_count * sizeof(struct store_change) +
                     condition_count * sizeof(struct store_condition);
    for (size_t i = 0; i < condition_count; i++) {
        RM_TRY(check_whole_key(conditions[i].key));
        *payload_bytes += strlen(conditions[i].key) + 1;
    }
    for (size_t i = 0; i < operation_count; i++) {
        RM_TRY(check_operation(&operations[i]));
        *payload_bytes += strlen(operations[i].key) + 1;
        if (operations[i].kind == STORE_PUT) {
            *payload_bytes += operations[i].value_length;
        }
    }
    return RM_OK;
}

static void place_change(char **at, struct store_change *change,
                         const struct store_operation *operation)
{
    change->operation.kind = operation->kind;
    change->operation.key = place_text(at, operation->key);
    buffer_init(&change->deleted_keys, STORE_MAX_READ_BYTES);
    if (operation->kind == STORE_PUT && operation->value_length > 0) {
        change->operation.value = memcpy(*at, operation->value, operation->value_length);
        change->operation.value_length = operation->value_length;
        *at += operation->value_length;
    }
}

enum rm_err store_request_new_commit(const struct store_condition *conditions,
                                     size_t condition_count,
                                     const struct store_operation *operations,
                                     size_t operation_count, struct store_request **out)
{
    size_t payload_bytes = 0;
    RM_TRY(
        measure_commit(conditions, condition_count, operations, operation_count, &payload_bytes));
    struct store_request *request = request_new(STORE_REQUEST_COMMIT, payload_bytes);
    if (request == NULL) {
        return RM_ERR_NO_MEMORY;
    }
    struct store_commit_request *commit = &request->commit;
    commit->changes = (struct store_change *)(void *)(request + 1);
    commit->change_count = operation_count;
    commit->conditions = (struct store_condition *)(void *)(commit->changes + operation_count);
    commit->condition_count = condition_count;
    char *at = (char *)(commit->conditions + condition_count);
    for (size_t i = 0; i < condition_count; i++) {
        commit->conditions[i].revision = conditions[i].revision;
        commit->conditions[i].key = place_text(&at, conditions[i].key);
    }
    for (size_t i = 0; i < operation_count; i++) {
        place_change(&at, &commit->changes[i], &operations[i]);
    }
    *out = request;
    return RM_OK;
}

// --- Reads and backups. --------------------------------------------------------------------------

enum rm_err store_request_new_read(const char *key, struct store_request **out)
{
    RM_TRY(check_whole_key(key));
    struct store_request *request = request_new(STORE_REQUEST_READ, strlen(key) + 1);
    if (request == NULL) {
        return RM_ERR_NO_MEMORY;
    }
    char *at = (char *)(request + 1);
    request->read.from = place_text(&at, key);
    request->read.limit = 1;
    buffer_init(&request->read.bytes, STORE_MAX_READ_BYTES);
    *out = request;
    return RM_OK;
}

enum rm_err store_request_new_read_prefix(const char *prefix, const char *first, size_t limit,
                                          struct store_request **out)
{
    char end[STORE_MAX_KEY_BYTES + 2];
    RM_TRY(store_key_check(prefix, STORE_MAX_KEY_BYTES));
    if (first == NULL || strcmp(first, prefix) < 0) {
        first = prefix;
    }
    RM_TRY(store_key_check(first, STORE_MAX_KEY_BYTES + 1)); // the longest key and a space
    if (limit > STORE_MAX_READ_ENTRIES) {
        return RM_ERR_LIMIT;
    }
    store_prefix_end(prefix, end);
    struct store_request *request =
        request_new(STORE_REQUEST_READ, strlen(first) + 1 + strlen(end) + 1);
    if (request == NULL) {
        return RM_ERR_NO_MEMORY;
    }
    char *at = (char *)(request + 1);
    request->read.from = place_text(&at, first);
    request->read.to = place_text(&at, end);
    request->read.limit = limit > 0 ? limit : STORE_MAX_READ_ENTRIES;
    buffer_init(&request->read.bytes, STORE_MAX_READ_BYTES);
    *out = request;
    return RM_OK;
}

enum rm_err store_request_new_backup(const char *path, struct store_request **out)
{
    size_t length = strnlen(path, STORE_MAX_PATH_BYTES);
    if (length == 0 || length + BACKUP_SUFFIX_BYTES > STORE_MAX_PATH_BYTES) {
        return RM_ERR_LIMIT;
    }
    struct store_request *request = request_new(STORE_REQUEST_BACKUP, length + 1);
    if (request == NULL) {
        return RM_ERR_NO_MEMORY;
    }
    char *at = (char *)(request + 1);
    request->backup.path = place_text(&at, path);
    *out = request;
    return RM_OK;
}

// --- End. ----------------------------------------------------------------------------------------

void store_request_free(struct store_request *request)
{
    if (request->kind == STORE_REQUEST_READ) {
        buffer_deinit(&request->read.bytes);
        rm_free(request->read.entries);
    }
    if (request->kind == STORE_REQUEST_COMMIT) {
        for (size_t i = 0; i < request->commit.change_count; i++) {
            buffer_deinit(&request->commit.changes[i].deleted_keys);
        }
    }
    rm_free(request);
}

size_t store_request_answer_bytes(const struct store_request *request)
{
    if (request->kind == STORE_REQUEST_READ) {
        return request->read.bytes.capacity + request->read.count * sizeof(struct store_entry);
    }
    size_t bytes = 0;
    if (request->kind == STORE_REQUEST_COMMIT) {
        for (size_t i = 0; i < request->commit.change_count; i++) {
            bytes += request->commit.changes[i].deleted_keys.capacity;
        }
    }
    return bytes;
}
