// SPDX-License-Identifier: GPL-3.0-or-later
#include "h2_fixture.h"

// A literal field without indexing: name "x-pad", value of `length` bytes 'v'.
static size_t write_field(uint8_t *out, size_t length)
{
    size_t n = 0;
    out[n++] = 0x00;
    out[n++] = 5;
    memcpy(out + n, "x-pad", 5);
    n += 5;
    if (length < 127) {
        out[n++] = (uint8_t)length;
    } else {
        out[n++] = 0x7f;
        size_t rest = length - 127;
        for (; rest > 127; rest >>= 7) {
            out[n++] = (uint8_t)(0x80 | (rest & 0x7f));
        }
        out[n++] = (uint8_t)rest;
    }
    memset(out + n, 'v', length);
    return n + length;
}

// A request on stream `id` with one field so that the whole decodes to `total` bytes.
static void request_of(struct world *world, uint32_t id, size_t total)
{
    static uint8_t block[80000];
    static const uint8_t pseudo[] = {0x83, 0x86, 0x84, 0x41, 0x01, 't'};
    // :method POST, :scheme http, :path /, :authority t: names, values and 32 each.
    const size_t base = (7 + 4 + 32) + (7 + 4 + 32) + (5 + 1 + 32) + (10 + 1 + 32);
    memcpy(block, pseudo, sizeof(pseudo));
    size_t length = sizeof(pseudo) + write_field(block + sizeof(pseudo), total - base - 5 - 32);
    size_t first = length < 16384 ? length : 16384;
    raw_frame(world, FRAME_HEADERS,
              (uint8_t)(FLAG_END_STREAM | (first == length ? FLAG_END_HEADERS : 0)), id, block,
              first);
    for (size_t at = first; at < length;) {
        size_t part = length - at < 16384 ? length - at : 16384;
        raw_frame(world, FRAME_CONTINUATION, at + part == length ? FLAG_END_HEADERS : 0, id,
                  block + at, part);
        at += part;
    }
}

static bool one_at_the_limit_and_one_over(void *context)
{
    struct world *world = context;
    raw_preface(world);
    request_of(world, 1, H2_MAX_HEADER_BYTES);
    request_of(world, 3, H2_MAX_HEADER_BYTES + 1);
    raw_request(world, 5, true);
    return true;
}

static bool third_arrived(void *context)
{
    struct world *world = context;
    return world->server.tap_count == 3 && world->server.taps[2].end_count == 1;
}

static void larger_than_the_limit_is_refused_alone(void **state)
{
    (void)state;
    struct world *world = world_new_raw(true, 1 << 20);
    world_run(world,
              (const scenario_step_fn[]){one_at_the_limit_and_one_over, third_arrived, NULL});
    assert_int_equal(world->server.taps[0].head_count, 1);
    assert_int_equal(world->server.taps[1].head_count, 0);
    assert_int_equal(world->server.taps[1].end_count, 0);
    assert_int_equal(world->server.taps[1].close_code, H2_ENHANCE_YOUR_CALM);
    assert_int_equal(world->server.taps[2].head_count, 1);
    world_free(world);
}

static bool far_over(void *context)
{
    struct world *world = context;
    raw_preface(world);
    request_of(world, 1, 70000);
    return true;
}

static void far_over_the_limit_ends_the_session(void **state)
{
    (void)state;
    struct world *world = world_new_raw(true, 1 << 20);
    world_run(world, (const scenario_step_fn[]){far_over, step_server_ended, NULL});
    assert_true(world->server.reason == RM_ERR_TOO_LARGE ||
                world->server.reason == RM_ERR_PROTOCOL);
    assert_int_equal(world->server.taps[0].head_count, 0);
    world_free(world);
}

// One large field in the peer's table, then one byte each time it is named: small on the wire,
// large when decoded.
static bool bomb(void *context)
{
    struct world *world = context;
    static uint8_t block[16000];
    size_t n = 0;
    block[n++] = 0x83;
    block[n++] = 0x86;
    block[n++] = 0x84;
    block[n++] = 0x40; // literal with incremental indexing
    block[n++] = 1;
    block[n++] = 'x';
    block[n++] = 0x7f; // 127 + 3000 - 127
    block[n++] = 0x80 | ((3000 - 127) & 0x7f);
    block[n++] = (3000 - 127) >> 7;
    memset(block + n, 'v', 3000);
    n += 3000;
    memset(block + n, 0xbe, sizeof(block) - n); // index 62, each 3033 bytes
    raw_preface(world);
    raw_frame(world, FRAME_HEADERS, FLAG_END_STREAM | FLAG_END_HEADERS, 1, block, sizeof(block));
    return true;
}

static void small_on_the_wire_but_large_decoded(void **state)
{
    (void)state;
    struct world *world = world_new_raw(true, 1 << 20);
    world_run(world, (const scenario_step_fn[]){bomb, step_server_ended, NULL});
    assert_int_equal(world->server.reason, RM_ERR_TOO_LARGE);
    assert_int_equal(raw_goaway_code(world), H2_ENHANCE_YOUR_CALM);
    assert_int_equal(world->server.taps[0].head_count, 0);
    world_free(world);
}

static bool too_many_of_ours(void *context)
{
    struct world *world = context;
    struct h2_header headers[H2_MAX_SEND_HEADERS + 1];
    for (size_t i = 0; i <= H2_MAX_SEND_HEADERS; i++) {
        headers[i] = (struct h2_header){"x", "y", 1, 1};
    }
    static const struct h2_stream_handler none;
    struct h2_stream *stream = NULL;
    assert_int_equal(h2_request(world->client.session, headers, H2_MAX_SEND_HEADERS + 1, true,
                                &none, NULL, &stream),
                     RM_ERR_TOO_LARGE);
    return true;
}

static void our_own_blocks_too(void **state)
{
    (void)state;
    struct world *world = world_new(65536);
    world_run(world, (const scenario_step_fn[]){too_many_of_ours, NULL});
    world_free(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(larger_than_the_limit_is_refused_alone),
        cmocka_unit_test(far_over_the_limit_ends_the_session),
        cmocka_unit_test(small_on_the_wire_but_large_decoded),
        cmocka_unit_test(our_own_blocks_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
