// SPDX-License-Identifier: GPL-3.0-or-later
//
// The loop's side of the store:
//
//   request --> queue --> worker: batch, one sync --> answers, in order --> watches, then callback
//
#include "store/store.h"

#include <string.h>

#include "base/alloc.h"
#include "base/log.h"
#include "store/database_internal.h"
#include "store/store_internal.h"

// --- Opening. ------------------------------------------------------------------------------------

static enum rm_err refuse_half_restored(const char *folder, struct rm_error *error)
{
    char path[STORE_MAX_PATH_BYTES];
    RM_TRY(store_folder_path(folder, STORE_RESTORE_FILE, path, error));
    if (!store_file_exists(path)) {
        return RM_OK;
    }
    return rm_error_set(error, RM_ERR_CONFIG,
                        "a restore into %s was interrupted: restore again, or remove %s", folder,
                        path);
}

static enum rm_err open_database(struct store *store, const char *folder, struct rm_error *error)
{
    char path[STORE_MAX_PATH_BYTES];
    RM_TRY(refuse_half_restored(folder, error));
    RM_TRY(store_folder_path(folder, STORE_DATABASE_FILE, path, error));
    RM_TRY(database_open(path, &store->database, error));
    memcpy(store->id, store->database->id, STORE_ID_BYTES);
    store->revision = store->database->revision;
    return RM_OK;
}

// A new database is only there when the names that lead to it are.
static enum rm_err sync_names(const char *folder, struct rm_error *error)
{
    RM_TRY(store_folder_sync(folder, error));
    return store_folder_sync_parent(folder, error);
}

static void store_on_closed(void *context);

static void init_fields(struct store *store, struct loop *loop)
{
    store->loop = loop;
    store->last = &store->first;
    store->closed_message = (struct message){.deliver = store_on_closed, .context = store};
    list_init(&store->watches);
    pthread_mutex_init(&store->mutex, NULL);
    pthread_cond_init(&store->may_work, NULL);
}

static void deinit_fields(struct store *store)
{
    pthread_cond_destroy(&store->may_work);
    pthread_mutex_destroy(&store->mutex);
}

enum rm_err store_open_sqlite(struct loop *loop, const char *folder, struct store **out,
                              struct rm_error *error)
{
    struct store *store = rm_calloc(1, sizeof(*store));
    if (store == NULL) {
        return rm_error_set(error, RM_ERR_NO_MEMORY, "no memory to open the store");
    }
    init_fields(store, loop);
    enum rm_err result = store_folder_lock(folder, &store->lock, error);
    if (result != RM_OK) {
        goto free_store;
    }
    result = open_database(store, folder, error);
    if (result != RM_OK) {
        goto unlock;
    }
    result = sync_names(folder, error);
    if (result != RM_OK) {
        goto close_database;
    }
    result = store_worker_start(store, error);
    if (result != RM_OK) {
        goto close_database;
    }
    loop_open(loop);
    *out = store;
    return RM_OK;

close_database:
    database_close(store->database);
unlock:
    store_folder_unlock(store->lock);
free_store:
    deinit_fields(store);
    rm_free(store);
    return result;
}

const uint8_t *store_id(const struct store *store)
{
    return store->id;
}

uint64_t store_revision(const struct store *store)
{
    return store->revision;
}

// --- Requests. -----------------------------------------------------------------------------------

static enum rm_err check_room(const struct store *store)
{
    if (store->is_closing) {
        return RM_ERR_CLOSED;
    }
    if (store->pending_count >= STORE_MAX_PENDING ||
        store->pending_bytes >= STORE_MAX_PENDING_BYTES) {
        return RM_ERR_BUSY;
    }
    return RM_OK;
}

static enum rm_err submit(struct store *store, struct store_request *request, void *context)
{
    request->store = store;
    request->context = context;
    store->pending_count++;
    store->pending_bytes += request->bytes;
    store_worker_push(store, request);
    return RM_OK;
}

enum rm_err store_commit(struct store *store, const struct store_condition *conditions,
                         size_t condition_count, const struct store_operation *operations,
                         size_t operation_count, store_commit_fn on_commit, void *context)
{
    struct store_request *request = NULL;
    RM_TRY(check_room(store));
    RM_TRY(store_request_new_commit(conditions, condition_count, operations, operation_count,
                                    &request));
    request->commit.on_commit = on_commit;
    return submit(store, request, context);
}

enum rm_err store_read(struct store *store, const char *key, store_read_fn on_read, void *context)
{
    struct store_request *request = NULL;
    RM_TRY(check_room(store));
    RM_TRY(store_request_new_read(key, &request));
    request->read.on_read = on_read;
    return submit(store, request, context);
}

enum rm_err store_read_prefix(struct store *store, const char *prefix, const char *first,
                              size_t limit, store_read_fn on_read, void *context)
{
    struct store_request *request = NULL;
    RM_TRY(check_room(store));
    RM_TRY(store_request_new_read_prefix(prefix, first, limit, &request));
    request->read.on_read = on_read;
    return submit(store, request, context);
}

enum rm_err store_backup(struct store *store, const char *path, store_backup_fn on_backup,
                         void *context)
{
    struct store_request *request = NULL;
    RM_TRY(check_room(store));
    RM_TRY(store_request_new_backup(path, &request));
    request->backup.on_backup = on_backup;
    return submit(store, request, context);
}

// --- Answers. ------------------------------------------------------------------------------------

static void answer_commit(struct store *store, struct store_request *request)
{
    if (request->result == RM_OK && request->commit.change_count > 0) {
        store->revision = request->revision;
        store_watch_announce(store, request);
    }
    if (request->commit.on_commit != NULL) {
        request->commit.on_commit(request->context, request->result, request->revision);
    }
}

static void answer_read(struct store_request *request)
{
    const struct store_read_request *read = &request->read;
    read->on_read(request->context, request->result, read->entries, read->count, request->revision);
}

static void answer(struct store *store, struct store_request *request)
{
    switch (request->kind) {
    case STORE_REQUEST_COMMIT:
        answer_commit(store, request);
        break;
    case STORE_REQUEST_READ:
        answer_read(request);
        break;
    case STORE_REQUEST_BACKUP:
        request->backup.on_backup(request->context, request->result, &request->backup.error);
        break;
    }
}

void store_on_answers(void *context)
{
    struct store_request *request = context;
    struct store *store = request->store;
    size_t answer_bytes = 0;
    while (request != NULL) {
        struct store_request *next = request->next;
        store->pending_count--;
        store->pending_bytes -= request->bytes;
        answer_bytes += store_request_answer_bytes(request);
        answer(store, request);
        store_request_free(request);
        request = next;
    }
    store_worker_relieve(store, answer_bytes);
}

// --- Closing. ------------------------------------------------------------------------------------

void store_close(struct store *store, store_closed_fn done, void *context)
{
    if (store->is_closing) {
        return;
    }
    store->is_closing = true;
    store->on_closed = done;
    store->closed_context = context;
    store_worker_end(store);
}

// The worker's last message: every answer came before it.
static void store_on_closed(void *context)
{
    struct store *store = context;
    struct loop *loop = store->loop;
    store_closed_fn done = store->on_closed;
    void *closed_context = store->closed_context;
    pthread_join(store->worker, NULL);
    store_watch_end(store);
    store_folder_unlock(store->lock);
    deinit_fields(store);
    rm_free(store);
    loop_close(loop);
    if (done != NULL) {
        done(closed_context);
    }
}
