// SPDX-License-Identifier: GPL-3.0-or-later
#include <stdbool.h>

#include "base/alloc.h"
#include "crypto/wolf_internal.h"
#include <wolfssl/wolfcrypt/memory.h>

static _Thread_local bool has_run_out;

static void *wolf_malloc(size_t size)
{
    void *block = rm_malloc(size);
    has_run_out = has_run_out || block == NULL;
    return block;
}

static void *wolf_realloc(void *block, size_t size)
{
    void *moved = rm_realloc(block, size);
    has_run_out = has_run_out || moved == NULL;
    return moved;
}

bool wolf_take_memory_from_us(void)
{
    return wolfSSL_SetAllocators(wolf_malloc, rm_free, wolf_realloc) == 0;
}

void wolf_memory_watch(void)
{
    has_run_out = false;
}

bool wolf_memory_has_run_out(void)
{
    return has_run_out;
}
