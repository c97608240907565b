// SPDX-License-Identifier: GPL-3.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "listening.h"
#include "stream/descriptors.h"

#define LIMIT 200
#define RESERVE (LIMIT / DESCRIPTORS_RESERVE_PART)
#define CROWD 220

// A listener whose connections stay, and a crowd of another process, whose descriptors do not
// count.
struct scene {
    struct loop *loop;
    struct listener *listener;
    struct stream *streams[CROWD];
    unsigned accepted;     // of streams
    unsigned pledges_each; // for each that is accepted
    unsigned pauses;       // of the listener
    unsigned most_in_use;  // at the pauses
    struct timer look;     // at the pauses
    pid_t crowd;           // connects
};

static unsigned in_use(void)
{
    unsigned count = 0;
    DIR *folder = opendir("/proc/self/fd");
    assert_non_null(folder);
    while (readdir(folder) != NULL) {
        count++;
    }
    closedir(folder);
    return count - 3; // ".", ".." and the folder itself
}

static void on_accept(void *context, struct stream *stream)
{
    struct scene *scene = context;
    assert_true(scene->accepted < CROWD);
    scene->streams[scene->accepted++] = stream;
    descriptors_pledge((int)scene->pledges_each);
}

static void on_shortage(void *context)
{
    struct scene *scene = context;
    unsigned now = in_use();
    scene->pauses++;
    scene->most_in_use = now > scene->most_in_use ? now : scene->most_in_use;
}

static void close_streams(struct scene *scene, unsigned left)
{
    while (scene->accepted > left) {
        stream_close(scene->streams[--scene->accepted], STREAM_CLOSE_ABORT, NULL, NULL);
        descriptors_pledge(-(int)scene->pledges_each);
    }
}

static pid_t crowd_start(const struct stream_address *at)
{
    pid_t child = fork();
    if (child == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL); // also when the test fails before it ends us
        for (int i = 0; i < CROWD; i++) {
            (void)client_connect(at);
        }
        (void)pause();
        _exit(0);
    }
    assert_true(child > 0);
    return child;
}

static void crowd_end(pid_t crowd)
{
    assert_int_equal(kill(crowd, SIGKILL), 0);
    assert_int_equal(waitpid(crowd, NULL, 0), crowd);
}

// After the first pause ten connections end: as many may come in before the second.
static void on_look(void *context)
{
    struct scene *scene = context;
    unsigned before = scene->accepted;
    assert_int_equal(timer_start(&scene->look, 1), RM_OK);
    if (scene->pauses == 1) {
        assert_true(before > 20);
        close_streams(scene, before - 10);
        scene->pauses = 2;
    } else if (scene->pauses == 3) {
        timer_stop(&scene->look);
        close_streams(scene, 0);
        listener_close(scene->listener, false);
    }
}

static void limit_set(rlim_t soft)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = soft;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

// Most descriptors in use when the listener pauses.
static unsigned crowded(bool has_reserve, unsigned pledges_each)
{
    struct scene scene = {.loop = loop_new("kept"), .pledges_each = pledges_each};
    struct listener_options options = listening_options("127.0.0.1:0");
    struct rlimit before;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    options.has_reserve = has_reserve;
    options.on_shortage = on_shortage;
    assert_int_equal(listener_open(scene.loop, &options, on_accept, &scene, &scene.listener, NULL),
                     RM_OK);
    scene.crowd = crowd_start(listener_address(scene.listener));
    limit_set(LIMIT);
    timer_init(&scene.look, scene.loop, on_look, &scene);
    assert_int_equal(timer_start(&scene.look, 1), RM_OK);
    loop_finish(scene.loop);
    limit_set(before.rlim_cur);
    crowd_end(scene.crowd);
    return scene.most_in_use;
}

static void reserve_stays_free(void **state)
{
    (void)state;
    assert_in_range(crowded(false, 0), LIMIT - RESERVE - 1, LIMIT - RESERVE + 1);
}

static void what_was_promised_stays_free_too(void **state)
{
    (void)state;
    unsigned base = in_use();
    // Each connection counts twice, so that each can be dialled on.
    unsigned room = LIMIT - RESERVE - base;
    assert_in_range(crowded(false, 1), base + room / 2 - 2, base + room / 2 + 4);
}

static void who_may_use_the_reserve_leaves_half_of_it(void **state)
{
    (void)state;
    assert_in_range(crowded(true, 0), LIMIT - RESERVE / 2 - 1, LIMIT - RESERVE / 2 + 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reserve_stays_free),
        cmocka_unit_test(what_was_promised_stays_free_too),
        cmocka_unit_test(who_may_use_the_reserve_leaves_half_of_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
