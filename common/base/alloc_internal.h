// SPDX-License-Identifier: GPL-3.0-or-later
//
// How other allocators of this room (the secret arena) take part in fault injection.
#pragma once

#include <stdbool.h>

// Counts one allocation of the calling thread; true when this one has to fail.
bool alloc_meets_fault(void);
