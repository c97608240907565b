// SPDX-License-Identifier: GPL-3.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "party.h"

int __real_connect(int descriptor, const struct sockaddr *address, socklen_t length);
int __wrap_connect(int descriptor, const struct sockaddr *address, socklen_t length);

// Binds to the destination first, as chance does once in a while.
static bool meets_itself;

int __wrap_connect(int descriptor, const struct sockaddr *address, socklen_t length)
{
    if (meets_itself) {
        assert_int_equal(bind(descriptor, address, length), 0);
    }
    return __real_connect(descriptor, address, length);
}

struct attempt {
    struct loop *loop;     // under test
    struct stream *stream; // got
    enum rm_err result;    // told
    unsigned calls;        // of the callback
};

static void on_connect(void *context, enum rm_err result, struct stream *stream)
{
    struct attempt *attempt = context;
    attempt->calls++;
    attempt->result = result;
    attempt->stream = stream;
    assert_int_equal(stream != NULL, result == RM_OK);
    if (stream != NULL) {
        stream_close(stream, STREAM_CLOSE_ABORT, NULL, NULL);
    }
}

static enum rm_err attempt_address(const struct stream_address *address, uint32_t timeout_ms)
{
    struct attempt attempt = {.loop = loop_new("connect")};
    struct socket_connect *connect = NULL;
    assert_int_equal(
        socket_connect(attempt.loop, address, timeout_ms, on_connect, &attempt, &connect), RM_OK);
    assert_int_equal(attempt.calls, 0);
    loop_finish(attempt.loop);
    assert_int_equal(attempt.calls, 1);
    return attempt.result;
}

static enum rm_err attempt_text(const char *text)
{
    struct stream_address address;
    assert_int_equal(socket_address_parse(text, &address, NULL), RM_OK);
    return attempt_address(&address, 10000);
}

// A bound socket; listens when `backlog` is not negative.
static int raw_server(struct stream_address *address, const char *text, int backlog)
{
    assert_int_equal(socket_address_parse(text, address, NULL), RM_OK);
    int server = socket(address->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(server, (struct sockaddr *)&address->address, address->length), 0);
    if (backlog >= 0) {
        assert_int_equal(listen(server, backlog), 0);
    }
    assert_int_equal(getsockname(server, (struct sockaddr *)&address->address, &address->length),
                     0);
    return server;
}

static void a_listening_server_is_reached(void **state)
{
    (void)state;
    static const char *const texts[] = {"127.0.0.1:0", "unix:@remora-test-connect"};
    for (size_t i = 0; i < 2; i++) {
        struct stream_address address;
        int server = raw_server(&address, texts[i], 5);
        assert_int_equal(attempt_address(&address, 10000), RM_OK);
        close(server);
    }
}

static void nobody_there_is_refused(void **state)
{
    (void)state;
    struct stream_address address;
    int server = raw_server(&address, "127.0.0.1:0", -1);
    assert_int_equal(attempt_address(&address, 10000), RM_ERR_REFUSED);
    close(server);
    assert_int_equal(attempt_text("unix:@remora-test-nobody"), RM_ERR_REFUSED);
    assert_int_equal(attempt_text("unix:/nonexistent/socket"), RM_ERR_NOT_FOUND);
}

static void a_connection_to_itself_is_refused(void **state)
{
    (void)state;
    struct stream_address address;
    int server = raw_server(&address, "127.0.0.1:0", -1);
    close(server);
    meets_itself = true;
    enum rm_err result = attempt_address(&address, 10000);
    meets_itself = false;
    assert_int_equal(result, RM_ERR_REFUSED);
}

// A server whose queue is full drops the first packet of whoever comes next.
static void silence_ends_at_the_deadline(void **state)
{
    (void)state;
    struct stream_address address;
    int server = raw_server(&address, "127.0.0.1:0", 0);
    int queued[2];
    for (int i = 0; i < 2; i++) {
        queued[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        (void)__real_connect(queued[i], (struct sockaddr *)&address.address, address.length);
    }
    assert_int_equal(attempt_address(&address, 20), RM_ERR_TIMEOUT);
    close(queued[0]);
    close(queued[1]);
    close(server);
}

static void a_full_unix_server_is_busy(void **state)
{
    (void)state;
    struct stream_address address;
    int server = raw_server(&address, "unix:@remora-test-busy", 0);
    int queued = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    assert_int_equal(__real_connect(queued, (struct sockaddr *)&address.address, address.length),
                     0);
    assert_int_equal(attempt_address(&address, 10000), RM_ERR_BUSY);
    close(queued);
    close(server);
}

static void a_cancelled_attempt_calls_nobody(void **state)
{
    (void)state;
    static const char *const texts[] = {"127.0.0.1:0", "unix:@remora-test-cancel"};
    for (size_t i = 0; i < 2; i++) {
        struct attempt attempt = {.loop = loop_new("connect")};
        struct stream_address address;
        struct socket_connect *connect = NULL;
        int server = raw_server(&address, texts[i], 5);
        assert_int_equal(
            socket_connect(attempt.loop, &address, 1000, on_connect, &attempt, &connect), RM_OK);
        socket_connect_cancel(connect);
        loop_finish(attempt.loop);
        assert_int_equal(attempt.calls, 0);
        close(server);
    }
}

static void what_we_lack_is_an_error_at_once(void **state)
{
    (void)state;
    struct stream_address address;
    int server = raw_server(&address, "127.0.0.1:0", 5);
    int before = dup(server);
    close(before);
    struct attempt attempt = {.loop = loop_new("connect")};
    struct socket_connect *connect = NULL;
    unsigned failures = 0;
    for (uint64_t n = 1;; n++) {
        rm_alloc_fail_at(n);
        enum rm_err result =
            socket_connect(attempt.loop, &address, 1000, on_connect, &attempt, &connect);
        rm_alloc_fail_at(0);
        if (result == RM_OK) {
            break;
        }
        assert_int_equal(result, RM_ERR_NO_MEMORY);
        failures++;
    }
    assert_true(failures >= 3);
    loop_finish(attempt.loop);
    assert_int_equal(attempt.calls, 1);
    // No descriptor stayed behind.
    int after = dup(server);
    assert_int_equal(after, before);
    close(after);
    close(server);
}

static void an_unconnected_socket_is_no_stream(void **state)
{
    (void)state;
    struct loop *loop = loop_new("connect");
    struct stream *stream = NULL;
    int descriptor = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(socket_stream_new(loop, descriptor, &stream), RM_ERR_CLOSED);
    assert_int_equal(fcntl(descriptor, F_GETFD), -1);
    loop_finish(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_listening_server_is_reached),
        cmocka_unit_test(nobody_there_is_refused),
        cmocka_unit_test(a_connection_to_itself_is_refused),
        cmocka_unit_test(silence_ends_at_the_deadline),
        cmocka_unit_test(a_full_unix_server_is_busy),
        cmocka_unit_test(a_cancelled_attempt_calls_nobody),
        cmocka_unit_test(what_we_lack_is_an_error_at_once),
        cmocka_unit_test(an_unconnected_socket_is_no_stream),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
