// SPDX-License-Identifier: GPL-3.0-or-later
#include "base/machine.h"

#include <stdlib.h>

#include "base/log.h"

void sm_init(struct sm *sm, const char *noun, uint64_t id, const struct sm_state *table,
             uint8_t initial)
{
    *sm = (struct sm){.table = table, .noun = noun, .id = id, .state = initial};
}

void sm_move(struct sm *sm, uint8_t next)
{
    const struct sm_state *from = &sm->table[sm->state];
    // The table's length is unknown here: only a state that the row allows may be looked up.
    if (next >= 32 || (from->may_move & SM_BIT(next)) == 0) {
        log_error(LOG_MAIN, "illegal_state_move", LOG_STR("noun", sm->noun), LOG_U64("id", sm->id),
                  LOG_STR("from", from->name), LOG_U64("to_row", next));
        abort();
    }
    log_debug(LOG_LOOP, "state", LOG_STR("noun", sm->noun), LOG_U64("id", sm->id),
              LOG_STR("from", from->name), LOG_STR("to", sm->table[next].name));
    sm->state = next;
}

bool sm_is(const struct sm *sm, uint8_t state)
{
    return sm->state == state;
}

const char *sm_state_name(const struct sm *sm)
{
    return sm->table[sm->state].name;
}
