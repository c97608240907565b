// SPDX-License-Identifier: GPL-3.0-or-later
//
// The store: what must survive a restart. Shaped like etcd: ordered keys, prefix reads, a revision
// that grows with every committed transaction, a watch, and conditional multi-key transactions. No
// SQL above it. Asynchronous: every answer comes later, on the loop that asked, and only after its
// transaction is durable (group commit). Back ends keep one conformance suite.
// The store belongs to one loop; its back end works on a thread of its own.
// Life: store_open_sqlite -> reads and transactions -> store_close.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"
#include "loop/loop.h"

#define STORE_MAX_KEY_BYTES 512
#define STORE_MAX_VALUE_BYTES (1U << 20)
#define STORE_MAX_OPERATIONS 64             // of one transaction; conditions count apart
#define STORE_MAX_PENDING 65536             // requests not yet answered; beyond: RM_ERR_BUSY
#define STORE_MAX_PENDING_BYTES (64U << 20) // memory they may hold; beyond: RM_ERR_BUSY
#define STORE_MAX_READ_ENTRIES 10000        // of one answer
#define STORE_MAX_READ_BYTES (64U << 20)    // of one answer; beyond: RM_ERR_TOO_LARGE
#define STORE_SCHEMA_VERSION 1              // a newer one in the folder is refused
#define STORE_ID_BYTES 16

struct store;

struct store_entry {
    const char *key;      // printable ASCII; borrowed
    const uint8_t *value; // borrowed; not NULL when empty
    size_t value_length;  // bytes
    uint64_t revision;    // of the transaction that wrote it
};

enum store_operation_kind { STORE_PUT, STORE_DELETE, STORE_DELETE_PREFIX };
struct store_operation {
    enum store_operation_kind kind; // what to do with `key`
    const char *key;                // or the prefix
    const void *value;              // PUT; may be NULL when empty
    size_t value_length;            // PUT
};

// The transaction happens only if each condition holds: the key's revision is exactly this (0:
// absent).
struct store_condition {
    const char *key;   // printable ASCII
    uint64_t revision; // it must have
};

// Opens or creates the data folder (0700) and its database. Checks schema version, store id and
// integrity; a lock refuses a second process. Blocking; at start only.
// Errors: RM_ERR_UNSUPPORTED (newer schema: names both versions), RM_ERR_BUSY (locked by another
// process, which it names), RM_ERR_PERMISSION, RM_ERR_NO_SPACE, RM_ERR_IO (also: damaged, says what
// to do), RM_ERR_CONFIG (an interrupted restore lies there), RM_ERR_NO_MEMORY.
RM_NODISCARD enum rm_err store_open_sqlite(struct loop *loop, const char *folder,
                                           struct store **out, struct rm_error *error);
// Answers everything pending (a running backup: RM_ERR_CANCELLED), then `done` (may be NULL),
// later, from the loop. Takes no more requests. Frees itself.
typedef void (*store_closed_fn)(void *context);
void store_close(struct store *store, store_closed_fn done, void *context);
// Random, made with the store; a restored or new folder has a new one.
const uint8_t *store_id(const struct store *store);
uint64_t store_revision(const struct store *store); // of the last durable transaction

// Requests are answered in the order in which they were made, and a read sees every transaction
// that was asked for before it. Each request function may also fail with RM_ERR_BUSY (too much
// pending), RM_ERR_CLOSED (store_close was called), RM_ERR_LIMIT (a limit above), RM_ERR_MALFORMED
// (a key that is empty or not printable ASCII) or RM_ERR_NO_MEMORY: then its callback is not
// called.

// `entries` in order of key, borrowed for the call. RM_OK also when there are none. `revision` is
// the store's at that point. RM_ERR_TOO_LARGE: ask for fewer. RM_ERR_IO, RM_ERR_NO_MEMORY.
typedef void (*store_read_fn)(void *context, enum rm_err result, const struct store_entry *entries,
                              size_t count, uint64_t revision);
// Entries from `first` (inclusive; NULL: from the beginning), whose key starts with `prefix` (may
// be
// ""), at most `limit` (0: STORE_MAX_READ_ENTRIES). The next page's `first` is the last key with a
// space appended.
RM_NODISCARD enum rm_err store_read_prefix(struct store *store, const char *prefix,
                                           const char *first, size_t limit, store_read_fn on_read,
                                           void *context);
RM_NODISCARD enum rm_err store_read(struct store *store, const char *key, store_read_fn on_read,
                                    void *context);

// RM_OK: durable at `revision`, and the watches have been told. RM_ERR_CONFLICT: a condition did
// not hold, nothing changed. RM_ERR_NO_SPACE, RM_ERR_IO, RM_ERR_NO_MEMORY: nothing changed; the
// next transaction may work again.
typedef void (*store_commit_fn)(void *context, enum rm_err result, uint64_t revision);
// Copies all arguments; `on_commit` may be NULL. A transaction without operations only asks whether
// its conditions hold and makes no revision. DELETE of an absent key is no error. The prefix of
// DELETE_PREFIX may be "".
RM_NODISCARD enum rm_err store_commit(struct store *store, const struct store_condition *conditions,
                                      size_t condition_count,
                                      const struct store_operation *operations,
                                      size_t operation_count, store_commit_fn on_commit,
                                      void *context);

// Changes under `prefix`, in order of revision, after each became durable, from now on. value NULL:
// deleted (revision: the deleting transaction's). Ends with store_watch_cancel(), also from its own
// callback, or with the store.
struct store_watch;
typedef void (*store_change_fn)(void *context, const struct store_entry *entry, bool is_deleted);
RM_NODISCARD enum rm_err store_watch(struct store *store, const char *prefix,
                                     store_change_fn on_change, void *context,
                                     struct store_watch **out);
void store_watch_cancel(struct store_watch *watch);

// A consistent copy into the file `path` (0600; must not exist), while running, one at a time. It
// holds at least everything that was durable before the call. On an error no file remains.
// RM_ERR_EXISTS, RM_ERR_BUSY (another backup runs), RM_ERR_NO_SPACE, RM_ERR_PERMISSION, RM_ERR_IO,
// RM_ERR_CANCELLED.
typedef void (*store_backup_fn)(void *context, enum rm_err result, const struct rm_error *error);
RM_NODISCARD enum rm_err store_backup(struct store *store, const char *path,
                                      store_backup_fn on_backup, void *context);
// Offline: makes `folder` (empty or absent) from a backup, with a NEW store id, so that sidecars
// resync and say so loudly. Blocking. Checks integrity and schema version first; the store appears
// in the folder whole or not at all. Errors: RM_ERR_EXISTS (folder not empty), RM_ERR_NOT_FOUND (no
// such backup), RM_ERR_IO (backup damaged), RM_ERR_UNSUPPORTED, RM_ERR_BUSY, RM_ERR_NO_SPACE,
// RM_ERR_PERMISSION.
RM_NODISCARD enum rm_err store_restore(const char *folder, const char *backup,
                                       struct rm_error *error);

// "SQLite 3.40.1". Static.
const char *store_describe(void);
