// SPDX-License-Identifier: GPL-3.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/harden.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

// Checks in a child, since nothing of this can be undone. Gives the number of the first check that
// fails, 0 when all hold.
static int check_hardened(void)
{
    close(STDIN_FILENO);
    struct rm_error error = {0};
    if (process_harden(&error) != RM_OK) {
        return 1;
    }
    struct rlimit core;
    struct rlimit files;
    getrlimit(RLIMIT_CORE, &core);
    getrlimit(RLIMIT_NOFILE, &files);
    if (core.rlim_cur != 0 || core.rlim_max != 0) {
        return 2;
    }
    if (files.rlim_cur != files.rlim_max) {
        return 3;
    }
    if (prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) != 0) {
        return 4;
    }
    if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1) {
        return 5;
    }
    if (umask(0) != 077) {
        return 6;
    }
    struct sigaction pipe_action;
    if (sigaction(SIGPIPE, NULL, &pipe_action) != 0 || pipe_action.sa_handler != SIG_IGN) {
        return 7;
    }
    if (fcntl(STDIN_FILENO, F_GETFD) < 0) {
        return 8;
    }
    return 0;
}

static void a_hardened_process_is_as_said(void **state)
{
    (void)state;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        _exit(check_hardened());
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_hardened_process_is_as_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
