// SPDX-License-Identifier: GPL-3.0-or-later
#include <pthread.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "loop/resolver_internal.h"

// A socket that c-ares opened and wants to be told about.
struct resolver_socket {
    struct list node;          // in the resolver's list
    struct resolver *resolver; // it belongs to
    ares_socket_t descriptor;  // c-ares closes it
    struct watch *watch;       // on it; owned
};

static int library_result;

static void resolver_init_library(void)
{
    library_result = ares_library_init_mem(ARES_LIB_INIT_ALL, rm_malloc, rm_free, rm_realloc);
}

static void resolver_on_ready(void *context, unsigned events, enum rm_err error)
{
    struct resolver_socket *socket = context;
    struct resolver *resolver = socket->resolver;
    // Of an error c-ares learns by reading.
    bool is_readable = (events & WATCH_READ) != 0 || error != RM_OK;
    ares_process_fd(resolver->channel, is_readable ? socket->descriptor : ARES_SOCKET_BAD,
                    (events & WATCH_WRITE) != 0 ? socket->descriptor : ARES_SOCKET_BAD);
    resolver_channel_rearm(resolver);
}

static struct resolver_socket *resolver_find_socket(struct resolver *resolver,
                                                    ares_socket_t descriptor)
{
    list_each (node, &resolver->sockets) {
        struct resolver_socket *socket = list_entry(node, struct resolver_socket, node);
        if (socket->descriptor == descriptor) {
            return socket;
        }
    }
    return NULL;
}

static struct resolver_socket *resolver_add_socket(struct resolver *resolver,
                                                   ares_socket_t descriptor)
{
    struct resolver_socket *socket = rm_calloc(1, sizeof(*socket));
    if (socket == NULL) {
        return NULL;
    }
    socket->resolver = resolver;
    socket->descriptor = descriptor;
    if (watch_open(resolver->loop, descriptor, resolver_on_ready, socket, &socket->watch) !=
        RM_OK) {
        rm_free(socket);
        return NULL;
    }
    list_append(&resolver->sockets, &socket->node);
    return socket;
}

// c-ares cannot be told that a socket is not watched after all; the look-up's deadline ends it
// then.
static void resolver_on_socket_state(void *context, ares_socket_t descriptor, int is_readable,
                                     int is_writable)
{
    struct resolver *resolver = context;
    struct resolver_socket *socket = resolver_find_socket(resolver, descriptor);
    if (!is_readable && !is_writable) {
        if (socket != NULL) {
            watch_close(socket->watch);
            list_remove(&socket->node);
            rm_free(socket);
        }
        return;
    }
    if (socket == NULL) {
        socket = resolver_add_socket(resolver, descriptor);
    }
    if (socket != NULL) {
        watch_set(socket->watch, (is_readable ? (unsigned)WATCH_READ : 0U) |
                                     (is_writable ? (unsigned)WATCH_WRITE : 0U));
    }
}

static void resolver_on_retry(void *context)
{
    struct resolver *resolver = context;
    ares_process_fd(resolver->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    resolver_channel_rearm(resolver);
}

void resolver_channel_rearm(struct resolver *resolver)
{
    struct timeval wait;
    if (ares_timeout(resolver->channel, NULL, &wait) == NULL) {
        timer_stop(&resolver->retry);
        return;
    }
    // Rounded up: a millisecond early finds nothing to do and would ask again at once.
    uint64_t wait_ms = (uint64_t)wait.tv_sec * 1000 + (uint64_t)wait.tv_usec / 1000 + 1;
    // Without the timer a lost packet is not asked for again, and the look-up's deadline ends it.
    if (timer_start(&resolver->retry, wait_ms) != RM_OK) {
        return;
    }
}

static int resolver_init_channel(struct resolver *resolver, ares_channel *out)
{
    struct ares_options options = {
        .timeout = RESOLVER_TRY_MS,
        .tries = RESOLVER_TRIES,
        .flags = ARES_FLAG_EDNS,
        .ednspsz = RESOLVER_UDP_BYTES,
        .sock_state_cb = resolver_on_socket_state,
        .sock_state_cb_data = resolver,
    };
    return ares_init_options(out, &options,
                             ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_FLAGS |
                                 ARES_OPT_EDNSPSZ | ARES_OPT_SOCK_STATE_CB);
}

static struct timespec resolver_configuration_time(void)
{
    struct stat found = {0};
    // Without the file c-ares has its defaults, and the time is zero.
    (void)stat(RESOLVER_CONFIGURATION, &found);
    return found.st_mtim;
}

enum rm_err resolver_channel_open(struct resolver *resolver, struct rm_error *error)
{
    static pthread_once_t library_once = PTHREAD_ONCE_INIT;
    pthread_once(&library_once, resolver_init_library);

    timer_init(&resolver->retry, resolver->loop, resolver_on_retry, resolver);
    resolver->read = resolver_configuration_time();
    int status = library_result;
    if (status == ARES_SUCCESS) {
        status = resolver_init_channel(resolver, &resolver->channel);
    }
    if (status != ARES_SUCCESS) {
        return rm_error_set(error, status == ARES_ENOMEM ? RM_ERR_NO_MEMORY : RM_ERR_IO,
                            "cannot read the system's name service configuration (%s): %s",
                            RESOLVER_CONFIGURATION, ares_strerror(status));
    }
    return RM_OK;
}

void resolver_channel_refresh(struct resolver *resolver)
{
    struct timespec written = resolver_configuration_time();
    ares_channel fresh;
    if ((written.tv_sec == resolver->read.tv_sec && written.tv_nsec == resolver->read.tv_nsec) ||
        resolver->asking_count > 0 || resolver_init_channel(resolver, &fresh) != ARES_SUCCESS) {
        return;
    }
    resolver->read = written;
    ares_destroy(resolver->channel);
    resolver->channel = fresh;
}

void resolver_channel_close(struct resolver *resolver)
{
    timer_stop(&resolver->retry);
    ares_destroy(resolver->channel);
    resolver->channel = NULL;
}

enum rm_err resolver_use_servers(struct resolver *resolver, const char *servers)
{
    return resolver_code(ares_set_servers_ports_csv(resolver->channel, servers));
}
