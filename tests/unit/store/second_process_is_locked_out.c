// SPDX-License-Identifier: GPL-3.0-or-later
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store_fixture.h"

// A child that holds the folder until it is killed.
static pid_t start_holder(const char *folder)
{
    int ready[2];
    char byte = 0;
    assert_int_equal(pipe(ready), 0);
    pid_t child = fork();
    if (child == 0) {
        struct fixture *fixture = fixture_new_in(folder);
        fixture_open(fixture);
        byte = 'r';
        if (write(ready[1], &byte, 1) != 1) {
            _exit(1);
        }
        for (;;) {
            pause();
        }
    }
    close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    return child;
}

// All in one test: the fork comes before this process has threads.
static void holder_is_named_and_its_death_frees_the_folder(void **state)
{
    char folder[64];
    char expected[64];
    struct rm_error error = {0};
    (void)state;
    make_folder(folder, sizeof(folder));
    pid_t holder = start_holder(folder);
    struct fixture *fixture = fixture_new_in(folder);
    assert_int_equal(fixture_try_open(fixture, &error), RM_ERR_BUSY);
    snprintf(expected, sizeof(expected), "in use by process %ld", (long)holder);
    assert_non_null(strstr(error.message, expected));
    rm_error_clear(&error);
    assert_int_equal(store_restore(folder, "/nonexistent", &error), RM_ERR_BUSY);
    assert_int_equal(kill(holder, SIGKILL), 0);
    assert_int_equal(waitpid(holder, NULL, 0), holder);
    fixture_open(fixture);
    assert_int_equal(fixture_put(fixture, "a", "1"), RM_OK);
    fixture_free(fixture);
}

static void same_process_is_locked_out_too(void **state)
{
    struct fixture *fixture = *state;
    struct store *first = fixture->store;
    assert_int_equal(fixture_try_open(fixture, NULL), RM_ERR_BUSY);
    assert_ptr_equal(fixture->store, first);
    assert_int_equal(fixture_put(fixture, "a", "1"), RM_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(holder_is_named_and_its_death_frees_the_folder),
        cmocka_unit_test_setup_teardown(same_process_is_locked_out_too, fixture_setup,
                                        fixture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
