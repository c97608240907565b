// SPDX-License-Identifier: GPL-3.0-or-later
//
//   LISTENING <--pause, resume--> PAUSED
//   LISTENING <--no descriptors, SOCKET_ACCEPT_RETRY_MS--> EXHAUSTED
//   any --close(drain)--> DRAINING --queue empty--> CLOSED; any --close--> CLOSED --next turn-->
//   freed
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/log.h"
#include "base/machine.h"
#include "stream/descriptors.h"
#include "stream/listener_internal.h"
#include "stream/socket_internal.h"

enum listener_state {
    LISTENER_LISTENING,
    LISTENER_PAUSED,
    LISTENER_EXHAUSTED,
    LISTENER_DRAINING,
    LISTENER_CLOSED,
};

static const struct sm_state listener_states[] = {
    [LISTENER_LISTENING] = {"listening", SM_BIT(LISTENER_PAUSED) | SM_BIT(LISTENER_EXHAUSTED) |
                                             SM_BIT(LISTENER_DRAINING) | SM_BIT(LISTENER_CLOSED)},
    [LISTENER_PAUSED] = {"paused", SM_BIT(LISTENER_LISTENING) | SM_BIT(LISTENER_DRAINING) |
                                       SM_BIT(LISTENER_CLOSED)},
    [LISTENER_EXHAUSTED] = {"exhausted", SM_BIT(LISTENER_LISTENING) | SM_BIT(LISTENER_PAUSED) |
                                             SM_BIT(LISTENER_DRAINING) | SM_BIT(LISTENER_CLOSED)},
    [LISTENER_DRAINING] = {"draining", SM_BIT(LISTENER_CLOSED)},
    [LISTENER_CLOSED] = {"closed", 0},
};

struct listener {
    struct sm sm;                       // enum listener_state
    struct loop *loop;                  // it belongs to
    struct listener_socket socket;      // owned
    struct watch *watch;                // on the socket; owned
    listener_fn on_accept;              // the user's
    void (*on_shortage)(void *context); // the user's; NULL: none
    void *context;                      // for both
    struct timer retry;                 // ends EXHAUSTED
    struct deferred step;               // DRAINING: accepts the rest; CLOSED: frees
    bool has_reserve;                   // as in the options
};

// What one attempt to accept came to.
enum accept_result { ACCEPT_ONE, ACCEPT_AGAIN, ACCEPT_EMPTY, ACCEPT_SHORTAGE };

// The kernel hands over errors of connections that died in the queue, too (accept(2)).
static enum accept_result accept_judge(int system_error)
{
    switch (system_error) {
    case EAGAIN:
        return ACCEPT_EMPTY;
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
        return ACCEPT_SHORTAGE;
    default:
        return ACCEPT_AGAIN;
    }
}

static enum accept_result listener_accept(struct listener *listener)
{
    struct stream_address remote = {.length = sizeof(remote.address)};
    int descriptor = accept4(listener->socket.descriptor, (struct sockaddr *)&remote.address,
                             &remote.length, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (descriptor < 0) {
        return accept_judge(errno);
    }
    struct stream *stream;
    if (socket_stream_adopt(listener->loop, descriptor, &remote, &stream) != RM_OK) {
        return ACCEPT_SHORTAGE;
    }
    // This one can be served; it must be the last.
    bool is_last = descriptors_are_scarce(descriptor, listener->has_reserve);
    listener->on_accept(listener->context, stream);
    return is_last ? ACCEPT_SHORTAGE : ACCEPT_ONE;
}

static void listener_exhaust(struct listener *listener)
{
    if (descriptors_note_shortage(loop_now_ms(listener->loop))) {
        char text[STREAM_ADDRESS_TEXT_BYTES];
        stream_address_text(&listener->socket.address, text);
        log_warn(LOG_LOOP, "listener_out_of_resources", LOG_STR("listener", text),
                 LOG_STR("hint", "no descriptor or memory to spare for another connection: raise "
                                 "the descriptor limit (ulimit -n, LimitNOFILE=)"));
    }
    // Without the timer there is nothing that would end the pause: stay, and be called again.
    if (timer_start(&listener->retry, SOCKET_ACCEPT_RETRY_MS) == RM_OK) {
        sm_move(&listener->sm, LISTENER_EXHAUSTED);
        watch_set(listener->watch, 0);
        if (listener->on_shortage != NULL) {
            listener->on_shortage(listener->context);
        }
    }
}

// Ends the state's accepting: the queue is empty, or nothing more can be taken.
static enum accept_result listener_accept_some(struct listener *listener, enum listener_state state)
{
    enum accept_result result = ACCEPT_AGAIN;
    for (int i = 0; i < SOCKET_ACCEPT_PER_TURN && sm_is(&listener->sm, (uint8_t)state); i++) {
        result = listener_accept(listener);
        if (result == ACCEPT_EMPTY || result == ACCEPT_SHORTAGE) {
            break;
        }
    }
    return result;
}

static void listener_on_ready(void *context, unsigned events, enum rm_err error)
{
    (void)events;
    (void)error; // accept4() tells
    struct listener *listener = context;
    // Whoever was given the last connection may have paused or closed the listener.
    if (listener_accept_some(listener, LISTENER_LISTENING) == ACCEPT_SHORTAGE &&
        sm_is(&listener->sm, LISTENER_LISTENING)) {
        listener_exhaust(listener);
    }
}

static void listener_on_retry(void *context)
{
    struct listener *listener = context;
    if (descriptors_would_be_scarce(listener->socket.descriptor, listener->has_reserve) &&
        timer_start(&listener->retry, SOCKET_ACCEPT_RETRY_MS) == RM_OK) {
        (void)descriptors_note_shortage(loop_now_ms(listener->loop)); // it goes on
        return;
    }
    sm_move(&listener->sm, LISTENER_LISTENING);
    watch_set(listener->watch, WATCH_READ);
}

static void listener_release(struct listener *listener)
{
    sm_move(&listener->sm, LISTENER_CLOSED);
    timer_stop(&listener->retry);
    watch_close(listener->watch);
    listener_socket_close(&listener->socket);
    deferred_schedule(listener->loop, &listener->step);
}

static void listener_free(struct listener *listener)
{
    struct loop *loop = listener->loop;
    rm_free(listener);
    loop_close(loop);
}

static void listener_on_step(void *context)
{
    struct listener *listener = context;
    if (sm_is(&listener->sm, LISTENER_CLOSED)) {
        listener_free(listener);
        return;
    }
    enum accept_result result = listener_accept_some(listener, LISTENER_DRAINING);
    if (sm_is(&listener->sm, LISTENER_CLOSED)) {
        return; // by whoever got a connection
    }
    if (result == ACCEPT_EMPTY || result == ACCEPT_SHORTAGE) {
        listener_release(listener);
    } else if (sm_is(&listener->sm, LISTENER_DRAINING)) {
        deferred_schedule(listener->loop, &listener->step);
    }
}

enum rm_err listener_open(struct loop *loop, const struct listener_options *options,
                          listener_fn on_accept, void *context, struct listener **out,
                          struct rm_error *error)
{
    struct listener *listener = rm_calloc(1, sizeof(*listener));
    if (listener == NULL) {
        return rm_error_set(error, RM_ERR_NO_MEMORY, "no memory for a listener");
    }
    enum rm_err result = listener_socket_open(options, &listener->socket, error);
    if (result != RM_OK) {
        goto failed;
    }
    result = watch_open(loop, listener->socket.descriptor, listener_on_ready, listener,
                        &listener->watch);
    if (result != RM_OK) {
        rm_error_set(error, result, "cannot watch a listening socket: %s", rm_err_text(result));
        goto failed_socket;
    }
    sm_init(&listener->sm, "listener", (uint64_t)listener->socket.descriptor, listener_states,
            LISTENER_LISTENING);
    listener->loop = loop;
    listener->on_accept = on_accept;
    listener->has_reserve = options->has_reserve;
    listener->on_shortage = options->on_shortage;
    listener->context = context;
    timer_init(&listener->retry, loop, listener_on_retry, listener);
    deferred_init(&listener->step, listener_on_step, listener);
    watch_set(listener->watch, WATCH_READ);
    loop_open(loop);
    *out = listener;
    return RM_OK;

failed_socket:
    listener_socket_close(&listener->socket);
failed:
    rm_free(listener);
    return result;
}

const struct stream_address *listener_address(const struct listener *listener)
{
    return &listener->socket.address;
}

void listener_pause(struct listener *listener)
{
    if (sm_is(&listener->sm, LISTENER_LISTENING) || sm_is(&listener->sm, LISTENER_EXHAUSTED)) {
        timer_stop(&listener->retry);
        sm_move(&listener->sm, LISTENER_PAUSED);
        watch_set(listener->watch, 0);
    }
}

void listener_resume(struct listener *listener)
{
    if (sm_is(&listener->sm, LISTENER_PAUSED)) {
        sm_move(&listener->sm, LISTENER_LISTENING);
        watch_set(listener->watch, WATCH_READ);
    }
}

void listener_close(struct listener *listener, bool drain)
{
    if (!drain) {
        listener_release(listener);
        return;
    }
    sm_move(&listener->sm, LISTENER_DRAINING);
    timer_stop(&listener->retry);
    watch_set(listener->watch, 0);
    deferred_schedule(listener->loop, &listener->step);
}
