// SPDX-License-Identifier: GPL-3.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "party.h"
#include "stream/credentials.h"

static void a_unix_peer_is_known_to_the_kernel(void **state)
{
    (void)state;
    struct loop *loop = loop_new("credentials");
    struct stream *a;
    struct stream *b;
    struct stream_credentials credentials = {.pid = -1};
    streams_unix(loop, &a, &b);
    assert_int_equal(stream_credentials_get(a, &credentials), RM_OK);
    assert_int_equal(credentials.uid, geteuid());
    assert_int_equal(credentials.groups[0], getegid());
    assert_int_equal(credentials.pid, getpid());
    stream_close(a, STREAM_CLOSE_ABORT, NULL, NULL);
    stream_close(b, STREAM_CLOSE_ABORT, NULL, NULL);
    loop_finish(loop);
}

static void others_have_none(void **state)
{
    (void)state;
    static const pair_fn makers[] = {streams_tcp, streams_memory};
    for (size_t i = 0; i < 2; i++) {
        struct loop *loop = loop_new("credentials");
        struct stream *a;
        struct stream *b;
        struct stream_credentials credentials;
        makers[i](loop, &a, &b);
        assert_int_equal(stream_credentials_get(a, &credentials), RM_ERR_UNSUPPORTED);
        assert_null(stream_peer(a));
        stream_close(a, STREAM_CLOSE_ABORT, NULL, NULL);
        stream_close(b, STREAM_CLOSE_ABORT, NULL, NULL);
        loop_finish(loop);
    }
}

static void administration_is_for_root_our_user_and_the_group(void **state)
{
    (void)state;
    struct stream_credentials credentials = {.uid = 0};
    assert_true(stream_credentials_may_administer(&credentials, GROUP_NONE));
    credentials.uid = geteuid();
    assert_true(stream_credentials_may_administer(&credentials, GROUP_NONE));
    credentials =
        (struct stream_credentials){.uid = 12345, .groups = {100, 4711}, .group_count = 2};
    assert_false(stream_credentials_may_administer(&credentials, GROUP_NONE));
    assert_false(stream_credentials_may_administer(&credentials, 4712));
    assert_true(stream_credentials_may_administer(&credentials, 4711));
    credentials.group_count = 1;
    assert_false(stream_credentials_may_administer(&credentials, 4711));
    credentials.groups[0] = GROUP_NONE;
    assert_false(stream_credentials_may_administer(&credentials, GROUP_NONE));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_unix_peer_is_known_to_the_kernel),
        cmocka_unit_test(others_have_none),
        cmocka_unit_test(administration_is_for_root_our_user_and_the_group),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
