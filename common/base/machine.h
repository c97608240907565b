// SPDX-License-Identifier: GPL-3.0-or-later
//
// Table-driven state machines. A user embeds `struct sm` in its object and gives a static table of
// states: each row has the state's name and the set of states it may move to. A move that the table
// forbids is our own mistake and aborts.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define SM_BIT(state) (UINT32_C(1) << (state))

struct sm_state {
    const char *name;  // for traces
    uint32_t may_move; // SM_BIT() of each state that may follow; 0 for a final state
};

struct sm {
    const struct sm_state *table; // static
    const char *noun;             // what the machine drives, for traces
    uint64_t id;                  // of the object, for traces
    uint8_t state;                // current row
};

void sm_init(struct sm *sm, const char *noun, uint64_t id, const struct sm_state *table,
             uint8_t initial);
// Moves to `next`; aborts with both names when the table forbids it.
void sm_move(struct sm *sm, uint8_t next);
bool sm_is(const struct sm *sm, uint8_t state);
const char *sm_state_name(const struct sm *sm);
