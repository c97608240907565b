// SPDX-License-Identifier: GPL-3.0-or-later
#include <pthread.h>
#include <sqlite3.h>
#include <string.h>

#include "base/alloc.h"
#include "store/database_internal.h"

// SQLite asks for the size of a block that it was given, so each one carries it in front. Eight
// bytes are the alignment that SQLite asks for.
#define HEADER_BYTES 8

static void *memory_malloc(int size)
{
    uint8_t *block = rm_malloc((size_t)size + HEADER_BYTES);
    if (block == NULL) {
        return NULL;
    }
    memcpy(block, &size, sizeof(size));
    return block + HEADER_BYTES;
}

static void memory_free(void *block)
{
    if (block != NULL) {
        rm_free((uint8_t *)block - HEADER_BYTES);
    }
}

static void *memory_realloc(void *block, int size)
{
    uint8_t *moved = rm_realloc((uint8_t *)block - HEADER_BYTES, (size_t)size + HEADER_BYTES);
    if (moved == NULL) {
        return NULL;
    }
    memcpy(moved, &size, sizeof(size));
    return moved + HEADER_BYTES;
}

static int memory_size(void *block)
{
    int size = 0;
    if (block != NULL) {
        memcpy(&size, (uint8_t *)block - HEADER_BYTES, sizeof(size));
    }
    return size;
}

static int memory_round_up(int size)
{
    return (size + 7) & ~7;
}

static int memory_init(void *context)
{
    (void)context;
    return SQLITE_OK;
}

static void memory_shutdown(void *context)
{
    (void)context;
}

static pthread_once_t configure_once = PTHREAD_ONCE_INIT;
static int configure_result = SQLITE_MISUSE;

static void configure(void)
{
    static const sqlite3_mem_methods methods = {
        .xMalloc = memory_malloc,
        .xFree = memory_free,
        .xRealloc = memory_realloc,
        .xSize = memory_size,
        .xRoundup = memory_round_up,
        .xInit = memory_init,
        .xShutdown = memory_shutdown,
    };
    configure_result = sqlite3_config(SQLITE_CONFIG_MALLOC, &methods);
    if (configure_result == SQLITE_OK) {
        // Its statistics would take a process-wide lock at each allocation.
        configure_result = sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
    }
    if (configure_result == SQLITE_OK) {
        // A connection is used by one thread at a time, so it needs no lock of its own.
        configure_result = sqlite3_config(SQLITE_CONFIG_MULTITHREAD);
    }
    if (configure_result == SQLITE_OK) {
        // A path is a path, also when it begins with "file:".
        configure_result = sqlite3_config(SQLITE_CONFIG_URI, 0);
    }
}

enum rm_err database_configure(struct rm_error *error)
{
    pthread_once(&configure_once, configure);
    if (configure_result != SQLITE_OK) {
        return rm_error_set(error, RM_ERR_INTERNAL, "SQLite was initialised before the store: %s",
                            sqlite3_errstr(configure_result));
    }
    return RM_OK;
}
