// SPDX-License-Identifier: GPL-3.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/stat.h>

#include "listening.h"

static char folder[64];
static char path[96];
static char text[112];

static int make_folder(void **state)
{
    (void)state;
    snprintf(folder, sizeof(folder), "%s", "/tmp/remora-listener-XXXXXX");
    if (mkdtemp(folder) == NULL) {
        return -1;
    }
    snprintf(path, sizeof(path), "%s/socket", folder);
    snprintf(text, sizeof(text), "unix:%s", path);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(folder);
}

static void close_and_finish(struct listening *listening)
{
    listening_close(listening);
    loop_finish(listening->loop);
}

static void mode_is_as_asked_whatever_the_umask(void **state)
{
    (void)state;
    static const int modes[] = {0600, 0660, 0666};
    for (size_t i = 0; i < 3; i++) {
        struct listening listening = {.loop = loop_new("listener")};
        struct listener_options options = listening_options(text);
        struct stat found;
        options.unix_mode = modes[i];
        options.unix_uid = (int)getuid();
        options.unix_gid = (int)getgid();
        mode_t before = umask(077);
        assert_int_equal(listening_try(&listening, &options, NULL), RM_OK);
        umask(before);
        assert_int_equal(stat(path, &found), 0);
        assert_int_equal(found.st_mode & 07777, modes[i]);
        close_and_finish(&listening);
        assert_int_equal(stat(path, &found), -1);
    }
}

static void a_socket_that_nobody_answers_on_is_replaced(void **state)
{
    (void)state;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct listening listening;
    memcpy(address.sun_path, path, strlen(path) + 1);
    int dead = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(dead, (struct sockaddr *)&address, sizeof(address)), 0);
    close(dead);
    listening_open(&listening, text);
    listening.close_after = 1;
    int client = client_connect(&listening.at);
    loop_finish(listening.loop);
    assert_int_equal(listening.accepted, 1);
    close(client);
}

static void a_socket_that_answers_is_in_use(void **state)
{
    (void)state;
    struct listening holder;
    struct listening second = {0};
    struct rm_error error = {0};
    const struct listener_options options = listening_options(text);
    listening_open(&holder, text);
    second.loop = holder.loop;
    assert_int_equal(listening_try(&second, &options, &error), RM_ERR_ADDRESS_IN_USE);
    assert_non_null(strstr(error.message, path));
    // The holder's socket is as it was.
    holder.close_after = 2;
    int client = client_connect(&holder.at);
    loop_finish(holder.loop);
    assert_int_equal(holder.accepted, 2);
    close(client);
}

static void a_file_that_is_no_socket_stays(void **state)
{
    (void)state;
    struct listening listening = {.loop = loop_new("listener")};
    const struct listener_options options = listening_options(text);
    struct rm_error error = {0};
    int file = open(path, O_CREAT | O_WRONLY, 0600);
    assert_true(file >= 0);
    close(file);
    assert_int_equal(listening_try(&listening, &options, &error), RM_ERR_EXISTS);
    assert_non_null(strstr(error.message, "no socket"));
    assert_int_equal(access(path, F_OK), 0);
    unlink(path);
    loop_finish(listening.loop);
}

static void only_our_own_path_is_removed(void **state)
{
    (void)state;
    struct listening listening;
    listening_open(&listening, text);
    unlink(path);
    int file = open(path, O_CREAT | O_WRONLY, 0600);
    assert_true(file >= 0);
    close(file);
    close_and_finish(&listening);
    assert_int_equal(access(path, F_OK), 0);
    unlink(path);
}

// What fails after the path was made takes it away again.
static void an_owner_we_may_not_give_it_to_is_an_error(void **state)
{
    (void)state;
    struct listening listening = {.loop = loop_new("listener")};
    struct listener_options options = listening_options(text);
    struct rm_error error = {0};
    options.unix_mode = 0600;
    options.unix_gid = 12345;
    if (geteuid() == 0) {
        assert_int_equal(seteuid(65534), 0);
        chmod(folder, 0777);
    }
    enum rm_err result = listening_try(&listening, &options, &error);
    if (getuid() == 0) {
        assert_int_equal(seteuid(0), 0);
    }
    // Without any right in the folder it fails at the folder.
    assert_int_equal(result, RM_ERR_PERMISSION);
    assert_int_equal(access(path, F_OK), -1);
    loop_finish(listening.loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mode_is_as_asked_whatever_the_umask),
        cmocka_unit_test(a_socket_that_nobody_answers_on_is_replaced),
        cmocka_unit_test(a_socket_that_answers_is_in_use),
        cmocka_unit_test(a_file_that_is_no_socket_stays),
        cmocka_unit_test(only_our_own_path_is_removed),
        cmocka_unit_test(an_owner_we_may_not_give_it_to_is_an_error),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
