// SPDX-License-Identifier: GPL-3.0-or-later
//
// A question to one worker, or to all in a row, and the answer: messages both ways, no lock.
#include "base/alloc.h"
#include "workers/workers_internal.h"

struct question {
    struct message there;         // to the worker
    struct message back;          // to the main loop
    struct workers *workers;      // asked through
    struct worker_thread *thread; // that is asked
    // Fills `target` on the worker's thread.
    enum rm_err (*fill)(void *target, const struct worker *worker);
    void *target;           // borrowed until the answer
    enum rm_err result;     // of filling it
    size_t next;            // worker to ask next; workers->running: none
    workers_listed_fn done; // on the main loop, once
    void *context;          // for done
};

static void question_send(struct question *question, size_t worker);

static void question_on_back(void *context)
{
    struct question *question = context;
    if (question->next < question->workers->running && !question->workers->is_drained) {
        question_send(question, question->next++);
        return;
    }
    struct loop *main_loop = question->workers->main_loop;
    question->done(question->context, question->result);
    loop_close(main_loop);
    rm_free(question);
}

static void question_on_there(void *context)
{
    struct question *question = context;
    question->result = question->fill(question->target, &question->thread->worker);
    question->back = (struct message){.deliver = question_on_back, .context = question};
    loop_post(question->workers->main_loop, &question->back);
}

static void question_send(struct question *question, size_t worker)
{
    question->thread = &question->workers->threads[worker];
    question->there = (struct message){.deliver = question_on_there, .context = question};
    loop_post(loop_thread_loop(question->thread->thread), &question->there);
}

// Asks worker number `first`, or that one and all behind it.
static enum rm_err question_open(struct workers *workers, size_t first, bool is_for_all,
                                 const struct question *wanted)
{
    if (workers->is_drained || first >= workers->running) {
        return RM_ERR_CLOSED; // the threads are ending and would be asked too late
    }
    struct question *question = rm_malloc(sizeof *question);
    if (question == NULL) {
        return RM_ERR_NO_MEMORY;
    }
    *question = *wanted;
    question->workers = workers;
    question->next = is_for_all ? first + 1 : SIZE_MAX;
    loop_open(workers->main_loop);
    question_send(question, first);
    return RM_OK;
}

size_t workers_count(const struct workers *workers)
{
    return workers->running;
}

static enum rm_err fill_listing(void *target, const struct worker *worker)
{
    return listing_fill(target, worker);
}

enum rm_err workers_list(struct workers *workers, size_t worker, struct listing *listing,
                         workers_listed_fn done, void *context)
{
    const struct question question = {
        .fill = fill_listing, .target = listing, .done = done, .context = context};
    return question_open(workers, worker, false, &question);
}

static enum rm_err fill_standing(void *target, const struct worker *worker)
{
    standing_add(target, worker);
    return RM_OK;
}

enum rm_err workers_rate(struct workers *workers, struct standing *standing, workers_listed_fn done,
                         void *context)
{
    const struct question question = {
        .fill = fill_standing, .target = standing, .done = done, .context = context};
    return question_open(workers, 0, true, &question);
}
