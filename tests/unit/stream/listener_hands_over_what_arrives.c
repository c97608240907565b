// SPDX-License-Identifier: GPL-3.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "listening.h"

int __real_accept4(int descriptor, struct sockaddr *address, socklen_t *length, int flags);
int __wrap_accept4(int descriptor, struct sockaddr *address, socklen_t *length, int flags);

static int next_error;     // of the next accept4(); 0: none
static unsigned in_a_turn; // accepted since the last turn began
static unsigned most_in_a_turn;

int __wrap_accept4(int descriptor, struct sockaddr *address, socklen_t *length, int flags)
{
    if (next_error != 0) {
        errno = next_error;
        next_error = 0;
        return -1;
    }
    int accepted = __real_accept4(descriptor, address, length, flags);
    in_a_turn += accepted >= 0;
    most_in_a_turn = in_a_turn > most_in_a_turn ? in_a_turn : most_in_a_turn;
    return accepted;
}

static void connections_are_handed_over_on_every_family(void **state)
{
    (void)state;
    static const char *const texts[] = {"127.0.0.1:0", "[::1]:0", "unix:@remora-test-listener"};
    for (size_t i = 0; i < 3; i++) {
        struct listening listening;
        int clients[3];
        listening_open(&listening, texts[i]);
        listening.close_after = 3;
        for (int c = 0; c < 3; c++) {
            clients[c] = client_connect(&listening.at);
        }
        loop_finish(listening.loop);
        assert_int_equal(listening.accepted, 3);
        for (int c = 0; c < 3; c++) {
            close(clients[c]);
        }
    }
}

static struct stream_address seen_remote;
static struct stream_address seen_local;

static void on_accept_look(void *context, struct stream *stream)
{
    seen_remote = stream_remote(stream);
    seen_local = stream_local(stream);
    listening_on_accept(context, stream);
}

// On a dual-stack listener, IPv4 peers have IPv4 addresses.
static void any_address_means_both_families(void **state)
{
    (void)state;
    static const char *const hosts[] = {"127.0.0.1", "[::1]"};
    for (size_t i = 0; i < 2; i++) {
        struct listening listening = {.loop = loop_new("listener"), .close_after = 1};
        struct listener_options options = listening_options(":0");
        struct stream_address target;
        char text[STREAM_ADDRESS_TEXT_BYTES];
        assert_int_equal(listener_open(listening.loop, &options, on_accept_look, &listening,
                                       &listening.listener, NULL),
                         RM_OK);
        stream_address_text(listener_address(listening.listener), text);
        unsigned port = (unsigned)atoi(strrchr(text, ':') + 1);
        snprintf(text, sizeof(text), "%s:%u", hosts[i], port);
        assert_int_equal(socket_address_parse(text, &target, NULL), RM_OK);
        int client = client_connect(&target);
        loop_finish(listening.loop);
        assert_true(socket_address_equal(&seen_local, &target));
        assert_int_equal(seen_local.address.ss_family, i == 0 ? AF_INET : AF_INET6);
        struct stream_address client_address = {.length = sizeof(client_address.address)};
        getsockname(client, (struct sockaddr *)&client_address.address, &client_address.length);
        assert_true(socket_address_equal(&seen_remote, &client_address));
        assert_int_equal(seen_remote.address.ss_family, i == 0 ? AF_INET : AF_INET6);
        close(client);
    }
}

static void inherited_options_are_set(void **state)
{
    (void)state;
    int descriptors[2];
    struct stream *stream;
    struct loop *loop = loop_new("options");
    pair_tcp(descriptors);
    assert_int_equal(socket_stream_new(loop, descriptors[0], &stream), RM_OK);
    int no_delay = 0;
    int keep_alive = 0;
    socklen_t length = sizeof(int);
    getsockopt(stream_descriptor(stream), IPPROTO_TCP, 1, &no_delay, &length);
    getsockopt(stream_descriptor(stream), SOL_SOCKET, SO_KEEPALIVE, &keep_alive, &length);
    assert_int_not_equal(no_delay, 0);
    assert_int_not_equal(keep_alive, 0);
    stream_close(stream, STREAM_CLOSE_ABORT, NULL, NULL);
    close(descriptors[1]);
    loop_finish(loop);
}

static void on_accept_options(void *context, struct stream *stream)
{
    int no_delay = 0;
    int keep_alive = 0;
    socklen_t length = sizeof(int);
    getsockopt(stream_descriptor(stream), IPPROTO_TCP, 1, &no_delay, &length);
    getsockopt(stream_descriptor(stream), SOL_SOCKET, SO_KEEPALIVE, &keep_alive, &length);
    assert_int_not_equal(no_delay, 0);
    assert_int_not_equal(keep_alive, 0);
    listening_on_accept(context, stream);
}

static void accepted_sockets_have_their_options(void **state)
{
    (void)state;
    struct listening listening = {.loop = loop_new("listener"), .close_after = 1};
    struct listener_options options = listening_options("127.0.0.1:0");
    assert_int_equal(listener_open(listening.loop, &options, on_accept_options, &listening,
                                   &listening.listener, NULL),
                     RM_OK);
    int client = client_connect(listener_address(listening.listener));
    loop_finish(listening.loop);
    close(client);
}

struct turn_counter {
    struct deferred call; // once per turn
    struct loop *loop;    // under test
};

static void on_turn(void *context)
{
    struct turn_counter *counter = context;
    in_a_turn = 0;
    if (loop_open_count(counter->loop) > 0) {
        deferred_schedule(counter->loop, &counter->call);
    }
}

static void a_storm_is_taken_in_portions(void **state)
{
    (void)state;
    enum { STORM = SOCKET_ACCEPT_PER_TURN * 3 };
    static int clients[STORM];
    struct listening listening;
    struct turn_counter counter;
    listening_open(&listening, "127.0.0.1:0");
    listening.close_after = STORM;
    for (int i = 0; i < STORM; i++) {
        clients[i] = client_connect(&listening.at);
    }
    counter.loop = listening.loop;
    deferred_init(&counter.call, on_turn, &counter);
    deferred_schedule(listening.loop, &counter.call);
    in_a_turn = 0;
    most_in_a_turn = 0;
    loop_finish(listening.loop);
    assert_int_equal(listening.accepted, STORM);
    assert_int_equal(most_in_a_turn, SOCKET_ACCEPT_PER_TURN);
    for (int i = 0; i < STORM; i++) {
        close(clients[i]);
    }
}

static void a_connection_that_died_in_the_queue_is_skipped(void **state)
{
    (void)state;
    static const int errors[] = {ECONNABORTED, EINTR, EPROTO, EPERM, ENETDOWN};
    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
        struct listening listening;
        listening_open(&listening, "127.0.0.1:0");
        listening.close_after = 1;
        int client = client_connect(&listening.at);
        next_error = errors[i];
        loop_finish(listening.loop);
        assert_int_equal(listening.accepted, 1);
        close(client);
    }
}

struct resumer {
    struct timer timer;          // resumes
    struct listening *listening; // paused
};

static void on_resume(void *context)
{
    struct resumer *resumer = context;
    assert_int_equal(resumer->listening->accepted, 0);
    listener_resume(resumer->listening->listener);
    listener_resume(resumer->listening->listener);
}

static void a_paused_listener_accepts_after_it_is_resumed(void **state)
{
    (void)state;
    struct listening listening;
    struct resumer resumer = {.listening = &listening};
    listening_open(&listening, "127.0.0.1:0");
    listening.close_after = 1;
    listener_pause(listening.listener);
    listener_pause(listening.listener);
    int client = client_connect(&listening.at);
    timer_init(&resumer.timer, listening.loop, on_resume, &resumer);
    assert_int_equal(timer_start(&resumer.timer, 5), RM_OK);
    loop_finish(listening.loop);
    assert_int_equal(listening.accepted, 1);
    close(client);
}

static void on_accept_pause(void *context, struct stream *stream)
{
    struct listening *listening = context;
    listener_pause(listening->listener);
    listening_on_accept(listening, stream);
}

static void on_close_listening(void *context)
{
    struct resumer *resumer = context;
    assert_int_equal(resumer->listening->accepted, 1);
    listening_close(resumer->listening);
}

static void pausing_in_on_accept_leaves_the_rest_queued(void **state)
{
    (void)state;
    struct listening listening = {.loop = loop_new("listener")};
    struct resumer closer = {.listening = &listening};
    struct listener_options options = listening_options("127.0.0.1:0");
    assert_int_equal(listener_open(listening.loop, &options, on_accept_pause, &listening,
                                   &listening.listener, NULL),
                     RM_OK);
    int first = client_connect(listener_address(listening.listener));
    int second = client_connect(listener_address(listening.listener));
    timer_init(&closer.timer, listening.loop, on_close_listening, &closer);
    assert_int_equal(timer_start(&closer.timer, 5), RM_OK);
    loop_finish(listening.loop);
    assert_int_equal(listening.accepted, 1);
    close(first);
    close(second);
}

static void draining_hands_over_what_is_queued(void **state)
{
    (void)state;
    static int clients[100];
    for (int paused = 0; paused < 2; paused++) {
        struct listening listening;
        listening_open(&listening, "127.0.0.1:0");
        for (int i = 0; i < 100; i++) {
            clients[i] = client_connect(&listening.at);
        }
        if (paused) {
            listener_pause(listening.listener);
        }
        listening.drains = true;
        listening_close(&listening);
        assert_int_equal(listening.accepted, 0);
        loop_finish(listening.loop);
        assert_int_equal(listening.accepted, 100);
        for (int i = 0; i < 100; i++) {
            close(clients[i]);
        }
    }
}

static void closing_without_draining_hands_over_nothing(void **state)
{
    (void)state;
    struct listening listening;
    listening_open(&listening, "127.0.0.1:0");
    int client = client_connect(&listening.at);
    listening_close(&listening);
    // Nobody listens any more on return.
    int late = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(late, (struct sockaddr *)&listening.at.address, listening.at.length),
                     -1);
    loop_finish(listening.loop);
    assert_int_equal(listening.accepted, 0);
    close(late);
    close(client);
}

static void closing_in_on_accept_stops_or_drains(void **state)
{
    (void)state;
    for (int drains = 0; drains < 2; drains++) {
        struct listening listening;
        int clients[5];
        listening_open(&listening, "127.0.0.1:0");
        listening.close_after = 2;
        listening.drains = drains;
        for (int i = 0; i < 5; i++) {
            clients[i] = client_connect(&listening.at);
        }
        loop_finish(listening.loop);
        assert_int_equal(listening.accepted, drains ? 5 : 2);
        for (int i = 0; i < 5; i++) {
            close(clients[i]);
        }
    }
}

static void several_listeners_share_a_port(void **state)
{
    (void)state;
    struct loop *loop = loop_new("listener");
    struct listening first = {.loop = loop};
    struct listening second = {.loop = loop};
    struct listener_options options = listening_options("127.0.0.1:0");
    options.reuse_port = true;
    assert_int_equal(listening_try(&first, &options, NULL), RM_OK);
    options.address = *listener_address(first.listener);
    assert_int_equal(listening_try(&second, &options, NULL), RM_OK);
    options.reuse_port = false;
    struct listening third = {.loop = loop};
    assert_int_equal(listening_try(&third, &options, NULL), RM_ERR_ADDRESS_IN_USE);
    int clients[64];
    for (int i = 0; i < 64; i++) {
        clients[i] = client_connect(&options.address);
    }
    first.drains = true;
    second.drains = true;
    listening_close(&first);
    listening_close(&second);
    loop_finish(loop);
    assert_int_equal(first.accepted + second.accepted, 64);
    for (int i = 0; i < 64; i++) {
        close(clients[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(connections_are_handed_over_on_every_family),
        cmocka_unit_test(any_address_means_both_families),
        cmocka_unit_test(inherited_options_are_set),
        cmocka_unit_test(accepted_sockets_have_their_options),
        cmocka_unit_test(a_storm_is_taken_in_portions),
        cmocka_unit_test(a_connection_that_died_in_the_queue_is_skipped),
        cmocka_unit_test(a_paused_listener_accepts_after_it_is_resumed),
        cmocka_unit_test(pausing_in_on_accept_leaves_the_rest_queued),
        cmocka_unit_test(draining_hands_over_what_is_queued),
        cmocka_unit_test(closing_without_draining_hands_over_nothing),
        cmocka_unit_test(closing_in_on_accept_stops_or_drains),
        cmocka_unit_test(several_listeners_share_a_port),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
