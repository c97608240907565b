// SPDX-License-Identifier: GPL-3.0-or-later
#include "store_fixture.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"

// --- Folders. ------------------------------------------------------------------------------------

static int remove_one(const char *path, const struct stat *status, int flag, struct FTW *ftw)
{
    (void)status;
    (void)flag;
    (void)ftw;
    return remove(path);
}

void remove_folder(const char *folder)
{
    nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

void make_folder(char *folder, size_t size)
{
    const char *parent = getenv("TMPDIR");
    snprintf(folder, size, "%s/store-XXXXXX", parent != NULL ? parent : "/tmp");
    assert_non_null(mkdtemp(folder));
}

const char *fixture_path(const struct fixture *fixture, const char *name)
{
    static char paths[4][256];
    static size_t next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof(paths[0]), "%s/%s", fixture->folder, name);
    return path;
}

// --- Life. ---------------------------------------------------------------------------------------

static enum rm_err on_thread_start(void *context, struct loop *loop)
{
    ((struct fixture *)context)->loop = loop;
    return RM_OK;
}

struct fixture *fixture_new_in(const char *folder)
{
    struct fixture *fixture = rm_calloc(1, sizeof(*fixture));
    assert_non_null(fixture);
    pthread_mutex_init(&fixture->mutex, NULL);
    pthread_cond_init(&fixture->changed, NULL);
    snprintf(fixture->folder, sizeof(fixture->folder), "%s", folder);
    assert_int_equal(loop_thread_start("test", on_thread_start, NULL, fixture, &fixture->thread),
                     RM_OK);
    return fixture;
}

struct fixture *fixture_new(void)
{
    char folder[64];
    make_folder(folder, sizeof(folder));
    return fixture_new_in(folder);
}

static void stop_loop(struct fixture *fixture, void *context)
{
    (void)context;
    loop_stop(fixture->loop);
}

void fixture_free(struct fixture *fixture)
{
    if (fixture->store != NULL) {
        fixture_close(fixture);
    }
    fixture_run(fixture, stop_loop, NULL);
    loop_thread_join(fixture->thread);
    remove_folder(fixture->folder);
    pthread_cond_destroy(&fixture->changed);
    pthread_mutex_destroy(&fixture->mutex);
    rm_free(fixture);
}

int fixture_setup(void **state)
{
    struct fixture *fixture = fixture_new();
    fixture_open(fixture);
    *state = fixture;
    return 0;
}

int fixture_teardown(void **state)
{
    fixture_free(*state);
    return 0;
}

// --- The loop's thread. --------------------------------------------------------------------------

struct call {
    struct message message;  // to the loop
    struct fixture *fixture; // borrowed
    fixture_fn call;         // to run there
    void *context;           // for call
    size_t done;             // 1 once it returned
};

void fixture_count(struct fixture *fixture, size_t *count)
{
    pthread_mutex_lock(&fixture->mutex);
    (*count)++;
    pthread_cond_broadcast(&fixture->changed);
    pthread_mutex_unlock(&fixture->mutex);
}

void fixture_wait(struct fixture *fixture, const size_t *count, size_t wanted)
{
    pthread_mutex_lock(&fixture->mutex);
    while (*count < wanted) {
        pthread_cond_wait(&fixture->changed, &fixture->mutex);
    }
    pthread_mutex_unlock(&fixture->mutex);
}

static void on_call(void *context)
{
    struct call *call = context;
    call->call(call->fixture, call->context);
    fixture_count(call->fixture, &call->done);
}

void fixture_run(struct fixture *fixture, fixture_fn function, void *context)
{
    struct call call = {.fixture = fixture, .call = function, .context = context};
    call.message = (struct message){.deliver = on_call, .context = &call};
    loop_post(fixture->loop, &call.message);
    fixture_wait(fixture, &call.done, 1);
}

// --- Open and close. -----------------------------------------------------------------------------

struct open_call {
    enum rm_err result;     // of the opening
    struct rm_error *error; // may be NULL
};

static void do_open(struct fixture *fixture, void *context)
{
    struct open_call *open = context;
    open->result =
        store_backend_under_test.open(fixture->loop, fixture->folder, &fixture->store, open->error);
}

enum rm_err fixture_try_open(struct fixture *fixture, struct rm_error *error)
{
    struct open_call open = {.error = error};
    fixture_run(fixture, do_open, &open);
    return open.result;
}

void fixture_open(struct fixture *fixture)
{
    struct rm_error error = {0};
    if (fixture_try_open(fixture, &error) != RM_OK) {
        fail_msg("store does not open: %s", rm_error_message(&error));
    }
}

struct close_call {
    struct fixture *fixture; // borrowed
    size_t done;             // 1 once closed
};

static void on_closed(void *context)
{
    struct close_call *close = context;
    fixture_count(close->fixture, &close->done);
}

static void do_close(struct fixture *fixture, void *context)
{
    store_close(fixture->store, on_closed, context);
    fixture->store = NULL;
}

void fixture_close(struct fixture *fixture)
{
    struct close_call close = {.fixture = fixture};
    fixture_run(fixture, do_close, &close);
    fixture_wait(fixture, &close.done, 1);
}

void fixture_reopen(struct fixture *fixture)
{
    fixture_close(fixture);
    fixture_open(fixture);
}

// --- Transactions. -------------------------------------------------------------------------------

struct commit_call {
    struct fixture *fixture;                  // borrowed
    const struct store_condition *conditions; // borrowed
    size_t condition_count;                   // entries
    const struct store_operation *operations; // borrowed
    size_t operation_count;                   // entries
    enum rm_err result;                       // of the transaction
    uint64_t revision;                        // from the answer
    size_t done;                              // 1 once answered
};

static void on_commit(void *context, enum rm_err result, uint64_t revision)
{
    struct commit_call *call = context;
    call->result = result;
    call->revision = revision;
    fixture_count(call->fixture, &call->done);
}

static void do_commit(struct fixture *fixture, void *context)
{
    struct commit_call *call = context;
    call->result = store_commit(fixture->store, call->conditions, call->condition_count,
                                call->operations, call->operation_count, on_commit, call);
    if (call->result != RM_OK) {
        fixture_count(fixture, &call->done);
    }
}

enum rm_err fixture_commit(struct fixture *fixture, const struct store_condition *conditions,
                           size_t condition_count, const struct store_operation *operations,
                           size_t operation_count, uint64_t *revision)
{
    struct commit_call call = {.fixture = fixture,
                               .conditions = conditions,
                               .condition_count = condition_count,
                               .operations = operations,
                               .operation_count = operation_count};
    fixture_run(fixture, do_commit, &call);
    fixture_wait(fixture, &call.done, 1);
    if (revision != NULL) {
        *revision = call.revision;
    }
    return call.result;
}

enum rm_err fixture_put(struct fixture *fixture, const char *key, const char *text)
{
    struct store_operation put = {STORE_PUT, key, text, strlen(text)};
    return fixture_commit(fixture, NULL, 0, &put, 1, NULL);
}

enum rm_err fixture_delete(struct fixture *fixture, const char *key)
{
    struct store_operation delete = {STORE_DELETE, key, NULL, 0};
    return fixture_commit(fixture, NULL, 0, &delete, 1, NULL);
}

// --- Reads. --------------------------------------------------------------------------------------

struct read_call {
    struct fixture *fixture; // borrowed
    const char *prefix;      // NULL: `first` is the key
    const char *first;       // or the key
    size_t limit;            // of a prefix read
    struct answer *answer;   // gets a copy
    size_t done;             // 1 once answered
};

static void on_read(void *context, enum rm_err result, const struct store_entry *entries,
                    size_t count, uint64_t revision)
{
    struct read_call *call = context;
    struct answer *answer = call->answer;
    *answer = (struct answer){.result = result, .revision = revision, .count = count};
    answer->entries = count > 0 ? rm_calloc(count, sizeof(*answer->entries)) : NULL;
    for (size_t i = 0; i < count; i++) {
        answer->entries[i].key = rm_strdup(entries[i].key);
        answer->entries[i].value = rm_memdup(entries[i].value, entries[i].value_length);
        answer->entries[i].value_length = entries[i].value_length;
        answer->entries[i].revision = entries[i].revision;
    }
    fixture_count(call->fixture, &call->done);
}

static void do_read(struct fixture *fixture, void *context)
{
    struct read_call *call = context;
    enum rm_err result = call->prefix != NULL
                             ? store_read_prefix(fixture->store, call->prefix, call->first,
                                                 call->limit, on_read, call)
                             : store_read(fixture->store, call->first, on_read, call);
    if (result != RM_OK) {
        *call->answer = (struct answer){.result = result};
        fixture_count(fixture, &call->done);
    }
}

void fixture_read(struct fixture *fixture, const char *key, struct answer *out)
{
    struct read_call call = {.fixture = fixture, .first = key, .answer = out};
    fixture_run(fixture, do_read, &call);
    fixture_wait(fixture, &call.done, 1);
}

void fixture_read_prefix(struct fixture *fixture, const char *prefix, const char *first,
                         size_t limit, struct answer *out)
{
    struct read_call call = {
        .fixture = fixture, .prefix = prefix, .first = first, .limit = limit, .answer = out};
    fixture_run(fixture, do_read, &call);
    fixture_wait(fixture, &call.done, 1);
}

void answer_free(struct answer *answer)
{
    for (size_t i = 0; i < answer->count; i++) {
        rm_free(answer->entries[i].key);
        rm_free(answer->entries[i].value);
    }
    rm_free(answer->entries);
    *answer = (struct answer){0};
}

static void read_revision(struct fixture *fixture, void *context)
{
    *(uint64_t *)context = store_revision(fixture->store);
}

uint64_t fixture_revision(struct fixture *fixture)
{
    uint64_t revision = 0;
    fixture_run(fixture, read_revision, &revision);
    return revision;
}

void assert_value(struct fixture *fixture, const char *key, const char *text)
{
    struct answer answer = {0};
    fixture_read(fixture, key, &answer);
    assert_int_equal(answer.result, RM_OK);
    assert_int_equal(answer.count, 1);
    assert_string_equal(answer.entries[0].key, key);
    assert_int_equal(answer.entries[0].value_length, strlen(text));
    assert_memory_equal(answer.entries[0].value, text, strlen(text));
    answer_free(&answer);
}

void assert_absent(struct fixture *fixture, const char *key)
{
    struct answer answer = {0};
    fixture_read(fixture, key, &answer);
    assert_int_equal(answer.result, RM_OK);
    assert_int_equal(answer.count, 0);
    answer_free(&answer);
}
