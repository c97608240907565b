// SPDX-License-Identifier: GPL-3.0-or-later
//
// A question to one worker, and its answer: messages both ways, no lock.
#include "base/alloc.h"
#include "workers/workers_internal.h"

struct question {
    struct message there;         // to the worker
    struct message back;          // to the main loop
    struct workers *workers;      // asked through
    struct worker_thread *thread; // that is asked
    struct listing *listing;      // borrowed until the answer
    enum rm_err result;           // of filling it
    workers_listed_fn done;       // on the main loop, once
    void *context;                // for done
};

static void question_on_back(void *context)
{
    struct question *question = context;
    struct loop *main_loop = question->workers->main_loop;
    question->done(question->context, question->result);
    loop_close(main_loop);
    rm_free(question);
}

static void question_on_there(void *context)
{
    struct question *question = context;
    question->result = listing_fill(question->listing, &question->thread->worker);
    question->back = (struct message){.deliver = question_on_back, .context = question};
    loop_post(question->workers->main_loop, &question->back);
}

size_t workers_count(const struct workers *workers)
{
    return workers->running;
}

enum rm_err workers_list(struct workers *workers, size_t worker, struct listing *listing,
                         workers_listed_fn done, void *context)
{
    if (workers->is_drained || worker >= workers->running) {
        return RM_ERR_CLOSED; // the threads are ending and would be asked too late
    }
    struct question *question = rm_calloc(1, sizeof *question);
    if (question == NULL) {
        return RM_ERR_NO_MEMORY;
    }
    question->workers = workers;
    question->thread = &workers->threads[worker];
    question->listing = listing;
    question->done = done;
    question->context = context;
    question->there = (struct message){.deliver = question_on_there, .context = question};
    loop_open(workers->main_loop);
    loop_post(loop_thread_loop(question->thread->thread), &question->there);
    return RM_OK;
}
