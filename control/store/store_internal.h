// SPDX-License-Identifier: GPL-3.0-or-later
//
// Inside the store: the request, which travels loop -> queue -> worker -> loop, and the store
// itself. A request is one block of memory with everything it carries; whoever holds it owns it.
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"
#include "base/list.h"
#include "loop/loop.h"
#include "store/store.h"

#define STORE_DATABASE_FILE "store.db"
#define STORE_RESTORE_FILE "restoring.db" // an interrupted restore leaves it
#define STORE_LOCK_FILE "lock"
#define STORE_MAX_PATH_BYTES 4096

// Most requests in one batch: keeps the log and the delay of the first answer bounded.
#define STORE_MAX_BATCH 4096
// Answers that the loop has not taken yet; beyond it the worker waits for the loop.
#define STORE_MAX_ANSWER_BYTES (2U * STORE_MAX_READ_BYTES)

enum store_request_kind { STORE_REQUEST_COMMIT, STORE_REQUEST_READ, STORE_REQUEST_BACKUP };

// One operation of a transaction and what it did.
struct store_change {
    struct store_operation operation; // key and value lie behind the request
    bool had_effect;                  // PUT, or a DELETE that found its key
    struct buffer deleted_keys;       // of DELETE_PREFIX: each with its NUL
};

struct store_commit_request {
    struct store_condition *conditions; // behind the request
    size_t condition_count;             // entries in `conditions`
    struct store_change *changes;       // behind the request
    size_t change_count;                // entries in `changes`
    store_commit_fn on_commit;          // may be NULL
};

struct store_read_request {
    const char *from;            // first key; behind the request
    const char *to;              // first key no longer wanted; NULL: only `from` itself
    size_t limit;                // most entries
    struct buffer bytes;         // keys and values of the answer
    struct store_entry *entries; // point into `bytes`; owned
    size_t count;                // entries in `entries`
    store_read_fn on_read;       // gets them
};

struct store_backup_request {
    const char *path;          // behind the request
    struct rm_error error;     // why it failed
    store_backup_fn on_backup; // gets the result
};

struct store_request {
    struct store_request *next;   // in the queue or the batch
    struct message message;       // of a batch's first request: brings the batch to the loop
    struct store *store;          // borrowed
    enum store_request_kind kind; // which member of the union counts
    size_t bytes;                 // of this block
    enum rm_err result;           // set by the worker
    uint64_t revision;            // of the transaction, or that a read saw
    void *context;                // for the callback
    union {
        struct store_commit_request commit;
        struct store_read_request read;
        struct store_backup_request backup;
    };
};

struct database;

struct store {
    struct loop *loop;         // borrowed; everything here without a note belongs to it
    struct database *database; // owned; the worker's between start and end
    int lock;                  // descriptor of the locked file
    bool is_closing;           // store_close() was called
    uint8_t id[STORE_ID_BYTES];
    uint64_t revision;         // of the last durable transaction that was announced
    size_t pending_count;      // requests not yet answered
    size_t pending_bytes;      // of them
    struct list watches;       // struct store_watch
    unsigned announce_depth;   // > 0 while watches are being called
    uint64_t announce_count;   // changes announced so far
    store_closed_fn on_closed; // may be NULL
    void *closed_context;      // for on_closed

    pthread_t worker;              // runs store_worker_main
    pthread_mutex_t mutex;         // guards what follows
    pthread_cond_t may_work;       // queue, should_end or answer_bytes changed
    struct store_request *first;   // queue: oldest
    struct store_request **last;   // queue: where the next one goes
    size_t answer_bytes;           // read by the worker, not yet taken by the loop
    bool should_end;               // the worker ends when the queue is empty
    struct message closed_message; // the worker's last word
};

// --- store_request.c: build and free. Each gives a request or an error. --------------------------
RM_NODISCARD enum rm_err store_request_new_commit(const struct store_condition *conditions,
                                                  size_t condition_count,
                                                  const struct store_operation *operations,
                                                  size_t operation_count,
                                                  struct store_request **out);
RM_NODISCARD enum rm_err store_request_new_read(const char *key, struct store_request **out);
RM_NODISCARD enum rm_err store_request_new_read_prefix(const char *prefix, const char *first,
                                                       size_t limit, struct store_request **out);
RM_NODISCARD enum rm_err store_request_new_backup(const char *path, struct store_request **out);
void store_request_free(struct store_request *request);
// Memory that its answer holds.
size_t store_request_answer_bytes(const struct store_request *request);
// Errors: RM_ERR_LIMIT (longer than `max_bytes`), RM_ERR_MALFORMED (not printable ASCII).
RM_NODISCARD enum rm_err store_key_check(const char *key, size_t max_bytes);
// The first key behind all that start with `prefix`: writes strlen(prefix) + 1 bytes, or 2 for "".
void store_prefix_end(const char *prefix, char *out);

// --- store_watch.c -------------------------------------------------------------------------------
// Tells the watches what a durable transaction changed.
void store_watch_announce(struct store *store, const struct store_request *request);
// Frees all watches.
void store_watch_end(struct store *store);

// --- store_worker.c: the thread. -----------------------------------------------------------------
RM_NODISCARD enum rm_err store_worker_start(struct store *store, struct rm_error *error);
// Queues a request for the worker, which takes it.
void store_worker_push(struct store *store, struct store_request *request);
// The loop took answers of `bytes`.
void store_worker_relieve(struct store *store, size_t bytes);
// Asks it to end once the queue is empty; closed_message follows.
void store_worker_end(struct store *store);
// Loop side: answers a batch, calls back and frees. `context` is the batch's first request.
void store_on_answers(void *context);

// --- store_folder.c ------------------------------------------------------------------------------
// Makes the folder when needed and locks it. Errors: RM_ERR_BUSY (names the process that holds it),
// RM_ERR_PERMISSION, RM_ERR_NO_SPACE, RM_ERR_IO.
RM_NODISCARD enum rm_err store_folder_lock(const char *folder, int *lock, struct rm_error *error);
void store_folder_unlock(int lock);
// "<folder>/<file>" into out[STORE_MAX_PATH_BYTES]. Errors: RM_ERR_LIMIT.
RM_NODISCARD enum rm_err store_folder_path(const char *folder, const char *file, char *out,
                                           struct rm_error *error);
bool store_file_exists(const char *path);
// Makes what was created, renamed or removed in the folder durable; "" is the current one.
RM_NODISCARD enum rm_err store_folder_sync(const char *folder, struct rm_error *error);
// The same for the folder that holds `path`.
RM_NODISCARD enum rm_err store_folder_sync_parent(const char *path, struct rm_error *error);
