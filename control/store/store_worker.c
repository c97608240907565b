// SPDX-License-Identifier: GPL-3.0-or-later
//
// The store's thread. It takes whatever queued up while the last batch was being synced, runs it as
// one batch, and posts the answers to the loop in order: the sync is the only wait there is.
// Between batches it copies the log and goes on with a backup.
#include <signal.h>
#include <string.h>

#include "base/log.h"
#include "store/database_internal.h"

// --- Queue. --------------------------------------------------------------------------------------

void store_worker_push(struct store *store, struct store_request *request)
{
    request->next = NULL;
    pthread_mutex_lock(&store->mutex);
    *store->last = request;
    store->last = &request->next;
    pthread_cond_signal(&store->may_work);
    pthread_mutex_unlock(&store->mutex);
}

void store_worker_relieve(struct store *store, size_t bytes)
{
    if (bytes == 0) {
        return;
    }
    pthread_mutex_lock(&store->mutex);
    store->answer_bytes -= bytes;
    pthread_cond_signal(&store->may_work);
    pthread_mutex_unlock(&store->mutex);
}

void store_worker_end(struct store *store)
{
    pthread_mutex_lock(&store->mutex);
    store->should_end = true;
    pthread_cond_signal(&store->may_work);
    pthread_mutex_unlock(&store->mutex);
}

// Cuts the oldest requests off the queue. A backup stands alone: it is not part of any batch.
static struct store_request *cut_batch(struct store *store)
{
    struct store_request *first = store->first;
    struct store_request *last = first;
    size_t count = 1;
    while (last != NULL && last->kind != STORE_REQUEST_BACKUP && last->next != NULL &&
           last->next->kind != STORE_REQUEST_BACKUP && count < STORE_MAX_BATCH) {
        last = last->next;
        count++;
    }
    if (last != NULL) {
        store->first = last->next;
        last->next = NULL;
    }
    if (store->first == NULL) {
        store->last = &store->first;
    }
    return first;
}

static bool may_take(const struct store *store)
{
    return store->first != NULL && store->answer_bytes < STORE_MAX_ANSWER_BYTES;
}

// Waits for work. NULL: go on with the backup, or end when *should_end.
static struct store_request *take_batch(struct store *store, bool *should_end)
{
    pthread_mutex_lock(&store->mutex);
    while (!may_take(store) && store->database->backup == NULL &&
           !(store->should_end && store->first == NULL)) {
        pthread_cond_wait(&store->may_work, &store->mutex);
    }
    struct store_request *first = may_take(store) ? cut_batch(store) : NULL;
    *should_end = store->should_end && first == NULL && store->first == NULL;
    pthread_mutex_unlock(&store->mutex);
    return first;
}

// --- Answers. ------------------------------------------------------------------------------------

static void post(struct store *store, struct store_request *first)
{
    size_t bytes = 0;
    for (const struct store_request *at = first; at != NULL; at = at->next) {
        bytes += store_request_answer_bytes(at);
    }
    if (bytes > 0) {
        pthread_mutex_lock(&store->mutex);
        store->answer_bytes += bytes;
        pthread_mutex_unlock(&store->mutex);
    }
    first->message = (struct message){.deliver = store_on_answers, .context = first};
    loop_post(store->loop, &first->message);
}

// --- Thread. -------------------------------------------------------------------------------------

static void run_batch(struct store *store, struct store_request *first)
{
    if (first->kind == STORE_REQUEST_BACKUP) {
        first->result = database_backup_start(store->database, first, &first->backup.error);
        if (first->result != RM_OK) {
            post(store, first);
        }
        return;
    }
    database_run_batch(store->database, first);
    post(store, first);
}

static void step_backup(struct store *store)
{
    if (store->database->backup != NULL) {
        struct store_request *ended = database_backup_step(store->database);
        if (ended != NULL) {
            post(store, ended);
        }
    }
}

static void *worker_main(void *context)
{
    struct store *store = context;
    bool should_end = false;
    while (!should_end) {
        struct store_request *first = take_batch(store, &should_end);
        if (first != NULL) {
            run_batch(store, first);
            database_log_maintain(store->database);
        }
        if (!should_end) {
            step_backup(store);
        }
    }
    struct store_request *cancelled = database_backup_cancel(store->database);
    if (cancelled != NULL) {
        post(store, cancelled);
    }
    database_close(store->database);
    store->database = NULL;
    loop_post(store->loop, &store->closed_message);
    return NULL;
}

enum rm_err store_worker_start(struct store *store, struct rm_error *error)
{
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    // Signals are the loop's business.
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&store->worker, NULL, worker_main, store);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed != 0) {
        return rm_error_set_errno(error, failed, "cannot start the store's thread");
    }
    pthread_setname_np(store->worker, "store");
    return RM_OK;
}
