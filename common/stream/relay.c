// SPDX-License-Identifier: GPL-3.0-or-later
//
//   OPEN --both flows over, an error, a time-out, relay_abort()--> CLOSING --both closed--> on_done
#include "stream/relay.h"

#include "base/alloc.h"
#include "stream/relay_internal.h"

static const struct sm_state relay_states[] = {
    [RELAY_OPEN] = {"open", SM_BIT(RELAY_CLOSING)},
    [RELAY_CLOSING] = {"closing", 0},
};

static void relay_on_closed(void *context)
{
    struct relay *relay = context;
    if (--relay->open_stream_count > 0) {
        return;
    }
    const struct relay_result result = {
        .a_to_b_bytes = relay->flows[RELAY_A].moved_bytes,
        .b_to_a_bytes = relay->flows[RELAY_B].moved_bytes,
        .error = relay->error,
        .failed = relay->failed,
    };
    relay->on_done(relay->context, &result);
    rm_free(relay);
}

static void relay_close(struct relay *relay, enum stream_close_mode mode)
{
    sm_move(&relay->sm, RELAY_CLOSING);
    timer_stop(&relay->silence);
    for (int side = RELAY_A; side <= RELAY_B; side++) {
        flow_deinit(&relay->flows[side]);
        stream_close(relay->flows[side].source, mode, relay_on_closed, relay);
    }
}

static void relay_note_failure(struct relay *relay, const struct flow *flow)
{
    if (flow->state != FLOW_FAILED || relay->error != RM_OK) {
        return;
    }
    bool is_a_at_fault = (flow == &relay->flows[RELAY_A]) == flow->is_source_at_fault;
    relay->error = flow->error;
    relay->failed = is_a_at_fault ? RELAY_A : RELAY_B;
}

// Who can no longer be written to may still have sent something worth reading (an answer that
// refuses the rest of a request): then the other flow goes on until it ends or fails, too.
static bool relay_is_over(const struct relay *relay)
{
    const struct flow *a = &relay->flows[RELAY_A];
    const struct flow *b = &relay->flows[RELAY_B];
    bool has_failed_source = (a->state == FLOW_FAILED && a->is_source_at_fault) ||
                             (b->state == FLOW_FAILED && b->is_source_at_fault);
    return has_failed_source || (flow_is_over(a) && flow_is_over(b));
}

static unsigned relay_events_for(const struct flow *from, const struct flow *to)
{
    return (from->state == FLOW_READING ? (unsigned)STREAM_READ : 0U) |
           (to->state == FLOW_BLOCKED ? (unsigned)STREAM_WRITE : 0U);
}

static void relay_settle(struct relay *relay)
{
    struct flow *a = &relay->flows[RELAY_A];
    struct flow *b = &relay->flows[RELAY_B];
    relay_note_failure(relay, a);
    relay_note_failure(relay, b);
    if (relay_is_over(relay)) {
        relay_close(relay, relay->error == RM_OK ? STREAM_CLOSE_ORDERLY : STREAM_CLOSE_ABORT);
        return;
    }
    stream_want(a->source, relay_events_for(a, b));
    stream_want(b->source, relay_events_for(b, a));
}

static uint32_t relay_timeout_ms(const struct relay *relay)
{
    bool is_half_closed =
        flow_is_over(&relay->flows[RELAY_A]) != flow_is_over(&relay->flows[RELAY_B]);
    if (!is_half_closed || relay->half_close_ms == 0) {
        return relay->idle_ms;
    }
    return relay->idle_ms == 0 || relay->half_close_ms < relay->idle_ms ? relay->half_close_ms
                                                                        : relay->idle_ms;
}

// One timer that is not touched while bytes move: when it expires, it looks at what happened since.
static void relay_watch_silence(struct relay *relay)
{
    uint32_t timeout_ms = relay_timeout_ms(relay);
    uint64_t silent_ms = loop_now_ms(relay->loop) - relay->last_active_ms;
    if (timeout_ms == 0) {
        return;
    }
    if (silent_ms >= timeout_ms) {
        relay_abort(relay, RM_ERR_TIMEOUT);
    } else if (timer_start(&relay->silence, timeout_ms - silent_ms) != RM_OK) {
        relay_abort(relay, RM_ERR_NO_MEMORY);
    }
}

static void relay_on_silence(void *context)
{
    relay_watch_silence(context);
}

static void relay_pump(struct relay *relay, struct flow *first, struct flow *second)
{
    const uint32_t timeout_ms = relay_timeout_ms(relay);
    if (first != NULL) {
        flow_pump(first);
    }
    if (second != NULL) {
        flow_pump(second);
    }
    relay_settle(relay);
    if (sm_is(&relay->sm, RELAY_OPEN) && relay_timeout_ms(relay) != timeout_ms) {
        // One direction has just ended: the silence of the other begins now.
        relay->last_active_ms = loop_now_ms(relay->loop);
        relay_watch_silence(relay);
    }
}

static void relay_on_event(void *context, unsigned events)
{
    struct flow *from = context;
    relay_pump(from->relay, (events & STREAM_READ) != 0 ? from : NULL,
               (events & STREAM_WRITE) != 0 ? flow_opposite(from) : NULL);
}

void relay_on_memory(struct flow *flow)
{
    relay_pump(flow->relay, flow, NULL);
}

static enum rm_err relay_prepare(struct relay *relay, const struct relay_options *options)
{
    RM_TRY(flow_preload(&relay->flows[RELAY_A], &options->from_a));
    RM_TRY(flow_preload(&relay->flows[RELAY_B], &options->from_b));
    relay->idle_ms = options->idle_timeout_ms;
    relay->half_close_ms = options->half_close_timeout_ms;
    relay->last_active_ms = loop_now_ms(relay->loop);
    timer_init(&relay->silence, relay->loop, relay_on_silence, relay);
    return relay->idle_ms > 0 ? timer_start(&relay->silence, relay->idle_ms) : RM_OK;
}

enum rm_err relay_start(struct stream *a, struct stream *b, const struct relay_options *options,
                        relay_done_fn on_done, void *context, struct relay **out)
{
    struct relay *relay = rm_calloc(1, sizeof(*relay));
    if (relay == NULL) {
        return RM_ERR_NO_MEMORY;
    }
    sm_init(&relay->sm, "relay", 0, relay_states, RELAY_OPEN);
    relay->loop = a->loop;
    relay->on_done = on_done;
    relay->context = context;
    relay->open_stream_count = 2;
    flow_init(&relay->flows[RELAY_A], relay, a);
    flow_init(&relay->flows[RELAY_B], relay, b);
    bool can_splice = stream_can_splice(a) && stream_can_splice(b);
    relay->flows[RELAY_A].can_splice = can_splice;
    relay->flows[RELAY_B].can_splice = can_splice;
    enum rm_err result = relay_prepare(relay, options);
    if (result != RM_OK) {
        flow_deinit(&relay->flows[RELAY_A]);
        flow_deinit(&relay->flows[RELAY_B]);
        rm_free(relay);
        return result;
    }
    stream_own(a, relay_on_event, &relay->flows[RELAY_A]);
    stream_own(b, relay_on_event, &relay->flows[RELAY_B]);
    relay_settle(relay);
    *out = relay;
    return RM_OK;
}

void relay_abort(struct relay *relay, enum rm_err reason)
{
    if (!sm_is(&relay->sm, RELAY_OPEN)) {
        return;
    }
    if (relay->error == RM_OK) {
        relay->error = reason;
    }
    relay_close(relay, STREAM_CLOSE_ABORT);
}

void relay_look(struct relay *relay)
{
    for (int side = RELAY_A; side <= RELAY_B && sm_is(&relay->sm, RELAY_OPEN); side++) {
        const struct flow *flow = &relay->flows[side];
        enum rm_err lost = RM_OK;
        if (flow->state != FLOW_READING && stream_is_lost(flow->source, &lost)) {
            relay->failed = relay->error == RM_OK ? (enum relay_side)side : relay->failed;
            relay_abort(relay, lost);
        }
    }
}

bool relay_is_closing(const struct relay *relay)
{
    return sm_is(&relay->sm, RELAY_CLOSING);
}

void relay_progress(const struct relay *relay, uint64_t *a_to_b_bytes, uint64_t *b_to_a_bytes)
{
    *a_to_b_bytes = relay->flows[RELAY_A].moved_bytes;
    *b_to_a_bytes = relay->flows[RELAY_B].moved_bytes;
}
