// SPDX-License-Identifier: GPL-3.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "worker/waiting.h"

struct visitor {
    struct waiting waiting;
    struct worker *worker;
    int asked;                 // times it was resumed
    bool must_wait_again;      // enters again when asked
    struct visitor *companion; // leaves when this one is asked; NULL: none
};

static void on_resume(void *context)
{
    struct visitor *visitor = context;
    visitor->asked++;
    if (visitor->companion != NULL) {
        waiting_leave(&visitor->companion->waiting);
    }
    if (visitor->must_wait_again) {
        waiting_enter(visitor->worker, &visitor->waiting, on_resume, visitor);
    }
}

static void enter(struct worker *worker, struct visitor *visitor)
{
    visitor->worker = worker;
    waiting_enter(worker, &visitor->waiting, on_resume, visitor);
}

static void each_is_asked_once_and_may_wait_again(void **state)
{
    struct worker worker = {0};
    struct visitor one = {.must_wait_again = true};
    struct visitor two = {0};
    (void)state;
    list_init(&worker.waiting);
    enter(&worker, &one);
    enter(&worker, &two);
    waiting_resume(&worker);
    assert_int_equal(one.asked, 1);
    assert_int_equal(two.asked, 1);
    waiting_resume(&worker);
    assert_int_equal(one.asked, 2);
    assert_int_equal(two.asked, 1);
    waiting_leave(&one.waiting);
    assert_true(list_is_empty(&worker.waiting));
}

static void who_left_is_not_asked(void **state)
{
    struct worker worker = {0};
    struct visitor one = {0};
    struct visitor two = {0};
    struct visitor never = {0};
    (void)state;
    list_init(&worker.waiting);
    enter(&worker, &one);
    enter(&worker, &two);
    one.companion = &two;          // leaves while the others are asked
    waiting_leave(&never.waiting); // never entered
    waiting_resume(&worker);
    assert_int_equal(one.asked, 1);
    assert_int_equal(two.asked, 0);
    waiting_leave(&two.waiting); // again
    assert_true(list_is_empty(&worker.waiting));
}

static void view_and_identity_make_a_worker_ready(void **state)
{
    struct mesh_view *view = mesh_view_empty();
    struct snapshot snapshot = {.view = view};
    struct worker worker = {.snapshot = &snapshot};
    (void)state;
    assert_false(worker_is_ready(&worker, false));
    // Only whether there is a context counts here.
    worker.tunnel_tls = (struct tls_context *)(void *)&snapshot;
    assert_true(worker_is_ready(&worker, false));
    assert_false(worker_is_ready(&worker, true));
    struct mesh_delta delta = {.version = {.number = 1}, .is_full = true};
    assert_int_equal(mesh_view_apply(view, &delta, &snapshot.view, NULL), RM_OK);
    assert_true(worker_is_ready(&worker, true));
    mesh_view_unref(snapshot.view);
    mesh_view_unref(view);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_is_asked_once_and_may_wait_again),
        cmocka_unit_test(who_left_is_not_asked),
        cmocka_unit_test(view_and_identity_make_a_worker_ready),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
