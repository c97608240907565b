// SPDX-License-Identifier: GPL-3.0-or-later
//
// Between sockets the bytes of a large transfer are never copied out of the kernel, and arrive as
// they were; small messages, and streams that are not the kernel's, are copied as ever. The calls
// of splice(2) are counted, and fail when told to.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>

#include "relayed.h"

ssize_t __real_splice(int from, off_t *from_offset, int to, off_t *to_offset, size_t length,
                      unsigned flags);
ssize_t __wrap_splice(int from, off_t *from_offset, int to, off_t *to_offset, size_t length,
                      unsigned flags);
int __real_pipe2(int ends[2], int flags);
int __wrap_pipe2(int ends[2], int flags);

static struct {
    unsigned calls;        // of splice
    uint64_t bytes;        // moved by it, in and out
    unsigned fail_at;      // this call, and when it `fails_on` all later ones; 0: none
    bool fails_on;         // not only the one
    int fail_with;         // errno
    bool has_no_pipes;     // pipe2 fails; a loop needs one of its own to begin with
    bool is_scarce;        // few descriptors are left
    unsigned scarce_count; // times somebody was told so
} kernel;

ssize_t __wrap_splice(int from, off_t *from_offset, int to, off_t *to_offset, size_t length,
                      unsigned flags)
{
    kernel.calls++;
    if (kernel.fail_at != 0 &&
        (kernel.calls == kernel.fail_at || (kernel.fails_on && kernel.calls > kernel.fail_at))) {
        errno = kernel.fail_with;
        return -1;
    }
    ssize_t result = __real_splice(from, from_offset, to, to_offset, length, flags);
    kernel.bytes += result > 0 ? (uint64_t)result : 0;
    return result;
}

int __wrap_pipe2(int ends[2], int flags)
{
    if (!kernel.has_no_pipes) {
        return __real_pipe2(ends, flags);
    }
    errno = EMFILE;
    return -1;
}

// Kept also where the whole program is optimised at once: only the linker knows of its use.
bool __wrap_descriptors_are_scarce(int descriptor, bool has_reserve) __attribute__((used));

bool __wrap_descriptors_are_scarce(int descriptor, bool has_reserve)
{
    assert_true(descriptor > 0);
    assert_false(has_reserve);
    kernel.scarce_count += kernel.is_scarce;
    return kernel.is_scarce;
}

static void kernel_reset(void)
{
    memset(&kernel, 0, sizeof(kernel));
}

// What `kernel` says stays; all arrives, both ways, whatever it says.
static void carry(pair_fn left, pair_fn right, uint64_t left_bytes, uint64_t right_bytes)
{
    struct relayed relayed;
    relayed_make(&relayed, left, right);
    relayed.left.send_bytes = left_bytes;
    relayed.right.send_bytes = right_bytes;
    relayed_run(&relayed, &relayed_no_limits);
    assert_int_equal(relayed.result.error, RM_OK);
    assert_int_equal(relayed.left.received_bytes, right_bytes);
    assert_int_equal(relayed.right.received_bytes, left_bytes);
    assert_int_equal(relayed.left.read_end, RM_ERR_EOF);
    assert_int_equal(relayed.right.read_end, RM_ERR_EOF);
    assert_int_equal(relayed.result.a_to_b_bytes, left_bytes);
    assert_int_equal(relayed.result.b_to_a_bytes, right_bytes);
}

static void sockets_of_all_kinds_are_spliced(void **state)
{
    (void)state;
    static const pair_fn kinds[] = {streams_tcp, streams_unix};
    for (size_t i = 0; i < 2; i++) {
        for (size_t j = 0; j < 2; j++) {
            kernel_reset();
            carry(kinds[i], kinds[j], 3000000, 2000000);
            assert_true(kernel.bytes > 3000000);
        }
    }
}

static void memory_and_small_messages_are_copied(void **state)
{
    (void)state;
    kernel_reset();
    carry(streams_memory, streams_tcp, 100000, 100000);
    carry(streams_tcp, streams_memory, 100000, 100000);
    carry(streams_tcp, streams_tcp, RELAY_SPLICE_WORTH_BYTES - 1, 1000);
    assert_int_equal(kernel.calls, 0);
}

static void bytes_read_before_the_relay_go_first(void **state)
{
    (void)state;
    static uint8_t first[CHUNK_BYTES];
    static const size_t lengths[] = {1, RELAY_LEAN_BYTES, CHUNK_BYTES};
    for (size_t i = 0; i < sizeof(first); i++) {
        first[i] = party_byte(i);
    }
    for (size_t i = 0; i < 3; i++) {
        struct relayed relayed;
        const struct relay_options options = {.from_a = {first, lengths[i]},
                                              .from_b = {first, lengths[i]}};
        kernel_reset();
        relayed_make(&relayed, streams_tcp, streams_unix);
        relayed.left.sent_bytes = relayed.right.sent_bytes = lengths[i];
        relayed.left.send_bytes = relayed.right.send_bytes = lengths[i] + 1000000;
        relayed_run(&relayed, &options);
        assert_int_equal(relayed.right.received_bytes, lengths[i] + 1000000);
        assert_int_equal(relayed.left.received_bytes, lengths[i] + 1000000);
        assert_true(kernel.bytes > 1000000);
    }
}

// A request of some size, its end, then an answer that takes long.
static void a_half_closed_direction_leaves_the_other_alone(void **state)
{
    (void)state;
    for (int is_left_first = 0; is_left_first < 2; is_left_first++) {
        struct relayed relayed;
        kernel_reset();
        relayed_make(&relayed, streams_tcp, streams_tcp);
        struct party *asking = is_left_first ? &relayed.left : &relayed.right;
        struct party *answering = is_left_first ? &relayed.right : &relayed.left;
        asking->send_bytes = 200000;
        asking->read_bytes = 50000;
        answering->send_bytes = 5000000;
        relayed_run(&relayed, &relayed_no_limits);
        assert_int_equal(relayed.result.error, RM_OK);
        assert_int_equal(answering->read_end, RM_ERR_EOF);
        assert_int_equal(asking->received_bytes, 5000000);
        assert_true(kernel.bytes > 5000000);
    }
}

// Whichever call it is that fails, in or out, the rest is copied, and nothing lost or doubled.
static void what_the_kernel_refuses_to_splice_is_copied(void **state)
{
    (void)state;
    static const int errors[] = {EINVAL, ENOSYS, EPERM, ENOMEM};
    for (unsigned n = 1; n <= 12; n++) {
        kernel_reset();
        kernel.fail_at = n;
        kernel.fails_on = n % 2 == 0;
        kernel.fail_with = errors[n % 4];
        carry(streams_tcp, n % 3 == 0 ? streams_unix : streams_tcp, 2000000, 500000);
        assert_true(kernel.calls >= n);
    }
}

static void an_interrupted_splice_is_repeated(void **state)
{
    (void)state;
    for (unsigned n = 1; n <= 6; n++) {
        kernel_reset();
        kernel.fail_at = n;
        kernel.fail_with = EINTR;
        carry(streams_tcp, streams_tcp, 2000000, 500000);
        assert_true(kernel.bytes > 2000000);
    }
}

static void without_descriptors_for_pipes_it_copies(void **state)
{
    (void)state;
    struct relayed relayed;
    kernel_reset();
    relayed_make(&relayed, streams_tcp, streams_tcp);
    relayed.left.send_bytes = relayed.right.send_bytes = 1000000;
    kernel.has_no_pipes = true;
    relayed_run(&relayed, &relayed_no_limits);
    assert_int_equal(relayed.result.error, RM_OK);
    assert_int_equal(relayed.left.received_bytes, 1000000);
    assert_int_equal(relayed.right.received_bytes, 1000000);
    assert_int_equal(kernel.calls, 0);
}

// Each direction is told once, and does not ask again.
static void the_last_descriptors_are_for_connections(void **state)
{
    (void)state;
    kernel_reset();
    kernel.is_scarce = true;
    carry(streams_tcp, streams_tcp, 2000000, 2000000);
    assert_int_equal(kernel.calls, 0);
    assert_int_equal(kernel.scarce_count, 2);
}

// --- A hundred megabytes -------------------------------------------------------------------------

#define LARGE_BYTES 100000000U
#define BLOCK_BYTES 65521U // prime, so that no block of ours or the kernel's hides a shift

struct large {
    uint8_t block[2 * BLOCK_BYTES]; // the same bytes twice: any window of it can be compared
    struct stream *from;            // writes
    struct stream *to;              // reads
    uint64_t sent;                  // taken so far
    uint64_t received;              // compared so far
    bool is_ended;                  // EOF was read
};

static void large_on_writable(void *context, unsigned events)
{
    struct large *large = context;
    size_t written = 0;
    (void)events;
    while (large->sent < LARGE_BYTES) {
        uint64_t left = LARGE_BYTES - large->sent;
        size_t length = left < BLOCK_BYTES ? (size_t)left : BLOCK_BYTES;
        enum rm_err result = stream_write_bytes(
            large->from, large->block + large->sent % BLOCK_BYTES, length, &written);
        if (result == RM_ERR_WOULD_BLOCK) {
            return;
        }
        assert_int_equal(result, RM_OK);
        large->sent += written;
    }
    assert_int_equal(stream_finish(large->from), RM_OK);
    stream_want(large->from, 0);
}

static void large_on_readable(void *context, unsigned events)
{
    static uint8_t bytes[BLOCK_BYTES];
    struct large *large = context;
    size_t length = 0;
    enum rm_err result;
    (void)events;
    while ((result = stream_read(large->to, bytes, sizeof(bytes), &length)) == RM_OK) {
        assert_memory_equal(bytes, large->block + large->received % BLOCK_BYTES, length);
        large->received += length;
    }
    if (result == RM_ERR_EOF) {
        large->is_ended = true;
        stream_close(large->to, STREAM_CLOSE_ORDERLY, NULL, NULL);
        stream_close(large->from, STREAM_CLOSE_ORDERLY, NULL, NULL);
        return;
    }
    assert_int_equal(result, RM_ERR_WOULD_BLOCK);
}

static void a_hundred_megabytes_arrive_unchanged(void **state)
{
    (void)state;
    static struct large large;
    struct relayed relayed;
    uint32_t seed = 1;
    kernel_reset();
    for (size_t i = 0; i < BLOCK_BYTES; i++) {
        seed = seed * 1664525U + 1013904223U;
        large.block[i] = large.block[i + BLOCK_BYTES] = (uint8_t)(seed >> 24);
    }
    relayed_make(&relayed, streams_tcp, streams_tcp);
    large.from = relayed.left_stream;
    large.to = relayed.right_stream;
    relayed_relay(&relayed, &relayed_no_limits);
    stream_own(large.from, large_on_writable, &large);
    stream_own(large.to, large_on_readable, &large);
    stream_want(large.from, STREAM_WRITE);
    stream_want(large.to, STREAM_READ);
    loop_finish(relayed.loop);
    assert_true(large.is_ended);
    assert_int_equal(large.received, LARGE_BYTES);
    assert_int_equal(relayed.result.error, RM_OK);
    assert_int_equal(relayed.result.a_to_b_bytes, LARGE_BYTES);
    // In and out; what came in pieces that were not worth it was copied.
    assert_true(kernel.bytes > LARGE_BYTES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sockets_of_all_kinds_are_spliced),
        cmocka_unit_test(memory_and_small_messages_are_copied),
        cmocka_unit_test(bytes_read_before_the_relay_go_first),
        cmocka_unit_test(a_half_closed_direction_leaves_the_other_alone),
        cmocka_unit_test(what_the_kernel_refuses_to_splice_is_copied),
        cmocka_unit_test(an_interrupted_splice_is_repeated),
        cmocka_unit_test(without_descriptors_for_pipes_it_copies),
        cmocka_unit_test(the_last_descriptors_are_for_connections),
        cmocka_unit_test(a_hundred_megabytes_arrive_unchanged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
