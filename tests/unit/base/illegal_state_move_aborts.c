// SPDX-License-Identifier: GPL-3.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/machine.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"

enum door_state { DOOR_OPEN, DOOR_SHUT, DOOR_GONE };
static const struct sm_state door_states[] = {
    [DOOR_OPEN] = {"open", SM_BIT(DOOR_SHUT) | SM_BIT(DOOR_GONE)},
    [DOOR_SHUT] = {"shut", SM_BIT(DOOR_OPEN)},
    [DOOR_GONE] = {"gone", 0},
};

static void legal_moves_are_made(void **state)
{
    (void)state;
    struct sm sm;
    sm_init(&sm, "door", 7, door_states, DOOR_OPEN);
    assert_true(sm_is(&sm, DOOR_OPEN));
    sm_move(&sm, DOOR_SHUT);
    assert_true(sm_is(&sm, DOOR_SHUT));
    assert_string_equal(sm_state_name(&sm), "shut");
    sm_move(&sm, DOOR_OPEN);
    sm_move(&sm, DOOR_GONE);
    assert_true(sm_is(&sm, DOOR_GONE));
}

static void drop_line(void *context, const char *line)
{
    (void)context;
    (void)line;
}

static void assert_move_aborts(uint8_t from, uint8_t to)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        signal(SIGABRT, SIG_DFL);
        log_redirect(drop_line, NULL);
        struct sm sm;
        sm_init(&sm, "door", 7, door_states, from);
        sm_move(&sm, to);
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);
}

static void other_moves_abort(void **state)
{
    (void)state;
    assert_move_aborts(DOOR_SHUT, DOOR_GONE);
    assert_move_aborts(DOOR_SHUT, DOOR_SHUT);
    assert_move_aborts(DOOR_GONE, DOOR_OPEN);
    assert_move_aborts(DOOR_OPEN, 31);
    assert_move_aborts(DOOR_OPEN, 255);
}

static void keep_line(void *context, const char *line)
{
    strncpy(context, line, 511);
}

static void moves_are_traced(void **state)
{
    (void)state;
    char line[512] = {0};
    log_redirect(keep_line, line);
    log_configure(LOG_LEVEL_DEBUG, LOG_FORMAT_TEXT);
    struct sm sm;
    sm_init(&sm, "door", 7, door_states, DOOR_OPEN);
    sm_move(&sm, DOOR_SHUT);
    log_configure(LOG_LEVEL_INFO, LOG_FORMAT_AUTO);
    log_redirect(NULL, NULL);
    assert_non_null(strstr(line, " debug loop state noun=door id=7 from=open to=shut"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(legal_moves_are_made),
        cmocka_unit_test(other_moves_abort),
        cmocka_unit_test(moves_are_traced),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
