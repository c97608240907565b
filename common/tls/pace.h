// SPDX-License-Identifier: GPL-3.0-or-later
//
// The pace of handshakes on one loop: sessions that have a step to make queue here, and each turn
// of the loop makes a few steps, so that a storm of handshakes leaves established connections their
// turns. First come, first served. Owned by whoever owns the loop's contexts; belongs to its
// thread. Life: tls_pace_new -> named in tls_session_options -> tls_pace_free, after the last
// handshake.
#pragma once

#include "loop/loop.h"

// A step of a handshake (a key exchange and a signature, or the check of a chain) takes some 300
// us: established connections wait about a millisecond for their next turn.
#define TLS_PACE_STEPS_PER_TURN 4

struct tls_pace;
// Called from the loop after a turn that left sessions waiting for the next one.
typedef void (*tls_pace_full_fn)(void *context);
// `on_full` may be NULL. NULL when memory is exhausted.
struct tls_pace *tls_pace_new(struct loop *loop, tls_pace_full_fn on_full, void *context);
// `pace` may be NULL. Nobody may be waiting.
void tls_pace_free(struct tls_pace *pace);
