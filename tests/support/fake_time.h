// SPDX-License-Identifier: GPL-3.0-or-later
//
// Lets a loop's time jump, so that deadlines can be met without waiting for them. Link the target
// `fake_time` (fake_time.cmake).
#pragma once

#include <stdint.h>

#include "loop/loop.h"

// From now on every loop of this process is `ms` later; timers that became due expire in the next
// turns of `loop`.
void fake_time_jump(struct loop *loop, uint64_t ms);
