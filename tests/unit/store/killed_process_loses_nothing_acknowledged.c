// SPDX-License-Identifier: GPL-3.0-or-later
//
// A child commits as fast as it can, 32 in flight, and writes each acknowledged number to a pipe.
// It is killed in the middle; whatever it acknowledged must be there in the next life, and what is
// there must be a beginning without gaps.
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store_fixture.h"

#define LIVES 8
#define IN_FLIGHT 32
#define ACKNOWLEDGED_BEFORE_KILL 400

struct writer {
    struct fixture *fixture; // borrowed
    int acknowledgements;    // pipe to the parent
    uint64_t next;           // number of the next transaction
    uint64_t acknowledged;   // of the last one
};

static void submit(struct writer *writer);

static void on_commit(void *context, enum rm_err result, uint64_t revision)
{
    struct writer *writer = context;
    if (result != RM_OK || revision != writer->acknowledged + 1) {
        _exit(1);
    }
    writer->acknowledged = revision;
    if (write(writer->acknowledgements, &revision, sizeof(revision)) != sizeof(revision)) {
        _exit(1);
    }
    submit(writer);
}

// Each transaction writes its number twice: one half alone would show.
static void submit(struct writer *writer)
{
    char key[32];
    uint64_t number = ++writer->next;
    snprintf(key, sizeof(key), "n/%08llu", (unsigned long long)number);
    struct store_operation puts[] = {{STORE_PUT, key, &number, sizeof(number)},
                                     {STORE_PUT, "last", &number, sizeof(number)}};
    if (store_commit(writer->fixture->store, NULL, 0, puts, 2, on_commit, writer) != RM_OK) {
        _exit(1);
    }
}

static void start(struct fixture *fixture, void *context)
{
    struct writer *writer = context;
    writer->next = store_revision(fixture->store);
    writer->acknowledged = writer->next;
    for (size_t i = 0; i < IN_FLIGHT; i++) {
        submit(writer);
    }
}

static void live(const char *folder, int acknowledgements)
{
    struct fixture *fixture = fixture_new_in(folder);
    struct writer writer = {.fixture = fixture, .acknowledgements = acknowledgements};
    fixture_open(fixture);
    fixture_run(fixture, start, &writer);
    for (;;) {
        pause();
    }
}

// Gives the last number that the child acknowledged.
static uint64_t live_and_die(const char *folder, unsigned enough)
{
    int ends[2];
    uint64_t acknowledged = 0;
    uint64_t number = 0;
    unsigned count = 0;
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        close(ends[0]);
        live(folder, ends[1]);
    }
    close(ends[1]);
    // The pipe is read to its end: what was acknowledged after the shot counts too.
    while (read(ends[0], &number, sizeof(number)) == (ssize_t)sizeof(number)) {
        acknowledged = number;
        if (++count == enough) {
            assert_int_equal(kill(child, SIGKILL), 0);
        }
    }
    close(ends[0]);
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    return acknowledged;
}

static void assert_no_gap(struct fixture *fixture, uint64_t revision)
{
    struct answer answer = {0};
    char first[32] = "";
    uint64_t expected = 1;
    do {
        answer_free(&answer);
        fixture_read_prefix(fixture, "n/", first, 1000, &answer);
        assert_int_equal(answer.result, RM_OK);
        for (size_t i = 0; i < answer.count; i++, expected++) {
            assert_int_equal(answer.entries[i].revision, expected);
            assert_memory_equal(answer.entries[i].value, &expected, sizeof(expected));
            snprintf(first, sizeof(first), "%s ", answer.entries[i].key);
        }
    } while (answer.count == 1000);
    answer_free(&answer);
    assert_int_equal(expected, revision + 1);
    fixture_read(fixture, "last", &answer);
    assert_memory_equal(answer.entries[0].value, &revision, sizeof(revision));
    answer_free(&answer);
}

// In a child too, so that this process never has a second thread when it forks.
static void check(const char *folder, uint64_t acknowledged)
{
    pid_t child = fork();
    if (child == 0) {
        struct fixture *fixture = fixture_new_in(folder);
        fixture_open(fixture);
        uint64_t revision = fixture_revision(fixture);
        assert_in_range(revision, acknowledged, acknowledged + IN_FLIGHT);
        assert_no_gap(fixture, revision);
        fixture_close(fixture);
        _exit(0);
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void every_acknowledged_write_survives(void **state)
{
    char folder[64];
    (void)state;
    make_folder(folder, sizeof(folder));
    for (unsigned life = 0; life < LIVES; life++) {
        uint64_t acknowledged = live_and_die(folder, ACKNOWLEDGED_BEFORE_KILL + 37 * life);
        check(folder, acknowledged);
    }
    remove_folder(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_acknowledged_write_survives),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
