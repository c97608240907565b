// SPDX-License-Identifier: GPL-3.0-or-later
#include "loop/thread.h"

#include <pthread.h>
#include <semaphore.h>
#include <signal.h>

#include "base/alloc.h"

struct loop_thread {
    pthread_t thread;         // runs loop_thread_main
    struct loop *loop;        // owned; outlives the thread, so that late posts hit no freed memory
    loop_thread_init_fn init; // on the thread, first
    loop_thread_deinit_fn deinit; // on the thread, last; may be NULL
    void *context;                // for both
    sem_t started;                // posted once `init_result` is set
    enum rm_err init_result;      // of `init`
};

static void *loop_thread_main(void *context)
{
    struct loop_thread *thread = context;
    (void)pthread_setname_np(pthread_self(), loop_name(thread->loop));
    enum rm_err result = thread->init(thread->context, thread->loop);
    thread->init_result = result;
    sem_post(&thread->started);
    if (result != RM_OK) {
        // What init opened and closed again still needs turns of the loop to be gone.
        loop_stop(thread->loop);
        loop_run(thread->loop);
        return NULL;
    }
    loop_run(thread->loop);
    if (thread->deinit != NULL) {
        thread->deinit(thread->context);
    }
    return NULL;
}

// Signals are the main thread's: a new thread inherits the mask it is made under.
static int loop_thread_spawn(struct loop_thread *thread)
{
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int result = pthread_create(&thread->thread, NULL, loop_thread_main, thread);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return result;
}

static void loop_thread_free(struct loop_thread *thread)
{
    loop_free(thread->loop);
    sem_destroy(&thread->started);
    rm_free(thread);
}

enum rm_err loop_thread_start(const char *name, loop_thread_init_fn init,
                              loop_thread_deinit_fn deinit, void *context, struct loop_thread **out)
{
    struct loop_thread *thread = rm_calloc(1, sizeof(*thread));
    if (thread == NULL) {
        return RM_ERR_NO_MEMORY;
    }
    thread->loop = loop_new(name);
    if (thread->loop == NULL) {
        rm_free(thread);
        return RM_ERR_NO_MEMORY;
    }
    thread->init = init;
    thread->deinit = deinit;
    thread->context = context;
    sem_init(&thread->started, 0, 0);
    int result = loop_thread_spawn(thread);
    if (result != 0) {
        loop_thread_free(thread);
        return RM_ERR_LIMIT;
    }
    while (sem_wait(&thread->started) != 0) {
    }
    if (thread->init_result != RM_OK) {
        enum rm_err init_result = thread->init_result;
        loop_thread_join(thread);
        return init_result;
    }
    *out = thread;
    return RM_OK;
}

struct loop *loop_thread_loop(struct loop_thread *thread)
{
    return thread->loop;
}

void loop_thread_join(struct loop_thread *thread)
{
    pthread_join(thread->thread, NULL);
    loop_thread_free(thread);
}
