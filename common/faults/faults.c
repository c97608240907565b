// SPDX-License-Identifier: GPL-3.0-or-later
#include "faults/faults.h"

#include <string.h>

static const struct fault_entry entries[FAULT_COUNT] = {
#define FAULT(id, name, group, what, cause, remedy)                                                \
    [FAULT_##id] = {                                                                               \
        name, FAULT_GROUP_##group, what, cause, remedy, what "; likely " cause "; " remedy},
#include "faults/catalogue.def"
#undef FAULT
};

static const char *const titles[FAULT_GROUP_COUNT] = {
#define FAULT_GROUP_TITLE(id, title) title,
    FAULT_GROUP_LIST(FAULT_GROUP_TITLE)
#undef FAULT_GROUP_TITLE
};

const struct fault_entry *fault_entry(enum fault fault)
{
    return &entries[(unsigned)fault < FAULT_COUNT ? fault : FAULT_INTERNAL];
}

const char *fault_name(enum fault fault)
{
    return fault_entry(fault)->name;
}

const char *fault_sentence(enum fault fault)
{
    return fault_entry(fault)->sentence;
}

const char *fault_group_title(enum fault_group group)
{
    return titles[(unsigned)group < FAULT_GROUP_COUNT ? group : FAULT_GROUP_OURSELVES];
}

bool fault_find(const char *name, enum fault *out)
{
    for (unsigned i = 0; i < FAULT_COUNT; i++) {
        if (strcmp(entries[i].name, name) == 0) {
            *out = (enum fault)i;
            return true;
        }
    }
    return false;
}
