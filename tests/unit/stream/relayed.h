// SPDX-License-Identifier: GPL-3.0-or-later
//
// Two parties with a relay between them: left <-> [a relay b] <-> right.
#pragma once

#include <signal.h>

#include "party.h"
#include "stream/relay.h"

struct relayed {
    struct loop *loop;           // all of it
    struct relay *relay;         // under test; NULL once done
    struct party left;           // on the far end of a
    struct party right;          // on the far end of b
    struct stream *left_stream;  // for `left`
    struct stream *right_stream; // for `right`
    struct stream *a;            // the relay's
    struct stream *b;            // the relay's
    struct relay_result result;  // told
    unsigned done;               // calls of on_done
};

// Who has read the end and keeps its own side open learns of nothing more.
static inline void relayed_release(struct party *party)
{
    if (party->stream != NULL && party->read_end != RM_OK && party->stays_open) {
        party_close(party, STREAM_CLOSE_ABORT);
    }
}

static inline void relayed_on_done(void *context, const struct relay_result *result)
{
    struct relayed *relayed = context;
    uint64_t a_to_b = 0;
    uint64_t b_to_a = 0;
    relay_progress(relayed->relay, &a_to_b, &b_to_a);
    assert_int_equal(a_to_b, result->a_to_b_bytes);
    assert_int_equal(b_to_a, result->b_to_a_bytes);
    relayed->relay = NULL;
    relayed->result = *result;
    relayed->done++;
    relayed_release(&relayed->left);
    relayed_release(&relayed->right);
}

static inline void relayed_make(struct relayed *relayed, pair_fn left, pair_fn right)
{
    // As every program of ours; the kernel sends it where a splice meets a reset.
    (void)signal(SIGPIPE, SIG_IGN);
    *relayed = (struct relayed){.loop = loop_new("relay")};
    left(relayed->loop, &relayed->left_stream, &relayed->a);
    right(relayed->loop, &relayed->b, &relayed->right_stream);
}

static inline void relayed_relay(struct relayed *relayed, const struct relay_options *options)
{
    assert_int_equal(
        relay_start(relayed->a, relayed->b, options, relayed_on_done, relayed, &relayed->relay),
        RM_OK);
}

// Everything at work; runs until nothing is open.
static inline void relayed_run(struct relayed *relayed, const struct relay_options *options)
{
    relayed_relay(relayed, options);
    party_start(&relayed->left, relayed->left_stream);
    party_start(&relayed->right, relayed->right_stream);
    loop_finish(relayed->loop);
    assert_int_equal(relayed->done, 1);
}

static const struct relay_options relayed_no_limits;
