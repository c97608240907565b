// SPDX-License-Identifier: GPL-3.0-or-later
//
// What the store's tests stand on: a loop on a thread of its own, a store in a private folder, and
// calls that wait for their answer. The conformance tests know the back end only as
// `store_backend_under_test`, so another one runs them by linking another definition.
#pragma once

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "loop/thread.h"
#include "store/store.h"

struct store_backend {
    // As store_open_sqlite().
    enum rm_err (*open)(struct loop *loop, const char *folder, struct store **out,
                        struct rm_error *error);
};
extern const struct store_backend store_backend_under_test;

struct fixture {
    char folder[64];            // data folder; the test's own
    struct loop_thread *thread; // runs the loop
    struct loop *loop;          // of the thread
    struct store *store;        // open, or NULL
    pthread_mutex_t mutex;      // guards what callbacks write
    pthread_cond_t changed;     // something they write changed
};

int fixture_setup(void **state);
int fixture_teardown(void **state);
// A folder, a loop, no store.
struct fixture *fixture_new(void);
// In a folder that is there; fixture_free() removes it.
struct fixture *fixture_new_in(const char *folder);
void fixture_free(struct fixture *fixture);
enum rm_err fixture_try_open(struct fixture *fixture, struct rm_error *error);
void fixture_open(struct fixture *fixture);
void fixture_close(struct fixture *fixture);
void fixture_reopen(struct fixture *fixture);
// "<folder>/<name>"; one of a few static buffers.
const char *fixture_path(const struct fixture *fixture, const char *name);
void remove_folder(const char *folder);
void make_folder(char *folder, size_t size);

// Runs `call` on the loop's thread and waits until it returned.
typedef void (*fixture_fn)(struct fixture *fixture, void *context);
void fixture_run(struct fixture *fixture, fixture_fn call, void *context);
// From callbacks: adds to *count under the mutex; fixture_wait() waits until it is at least
// `wanted`.
void fixture_count(struct fixture *fixture, size_t *count);
void fixture_wait(struct fixture *fixture, const size_t *count, size_t wanted);

// An answer to a read, copied.
struct answer_entry {
    char *key;           // owned
    uint8_t *value;      // owned
    size_t value_length; // bytes
    uint64_t revision;   // of the entry
};
struct answer {
    enum rm_err result;           // of the read
    uint64_t revision;            // that it saw
    size_t count;                 // entries
    struct answer_entry *entries; // owned
};
void answer_free(struct answer *answer);

// Each waits for its answer.
enum rm_err fixture_commit(struct fixture *fixture, const struct store_condition *conditions,
                           size_t condition_count, const struct store_operation *operations,
                           size_t operation_count, uint64_t *revision);
enum rm_err fixture_put(struct fixture *fixture, const char *key, const char *text);
enum rm_err fixture_delete(struct fixture *fixture, const char *key);
void fixture_read(struct fixture *fixture, const char *key, struct answer *out);
void fixture_read_prefix(struct fixture *fixture, const char *prefix, const char *first,
                         size_t limit, struct answer *out);
uint64_t fixture_revision(struct fixture *fixture);

void assert_value(struct fixture *fixture, const char *key, const char *text);
void assert_absent(struct fixture *fixture, const char *key);
