// SPDX-License-Identifier: GPL-3.0-or-later
//
// jansson's reader does not survive a failed allocation: it drops the byte that had no room, calls
// that a mistake in the text or an assertion, and can run past the end of a string. So its reader
// never sees one: while it reads, its blocks are kept in a list, and the first failure frees them
// all and jumps out of it. Its other functions report failures well and are told about them.
#include <pthread.h>
#include <setjmp.h>

#include "base/alloc.h"
#include "base/list.h"
#include "json/json_internal.h"

// Stands before every block that jansson gets; its size keeps the block aligned for any type.
struct json_block {
    struct list of_reading; // in json_reading.blocks while reading; unlinked otherwise
};

struct json_reading {
    struct list blocks; // struct json_block.of_reading
    jmp_buf escape;     // out of jansson's reader
    bool has_escaped;   // an allocation failed
};

static _Thread_local struct json_reading *current_reading; // NULL unless this thread reads

static void *json_allocate(size_t size)
{
    struct json_block *block = NULL;
    if (size <= SIZE_MAX - sizeof(struct json_block)) {
        block = rm_malloc(sizeof(struct json_block) + size);
    }
    if (block == NULL) {
        if (current_reading != NULL) {
            longjmp(current_reading->escape, 1);
        }
        return NULL;
    }
    list_init(&block->of_reading);
    if (current_reading != NULL) {
        list_append(&current_reading->blocks, &block->of_reading);
    }
    return block + 1;
}

static void json_release(void *memory)
{
    if (memory != NULL) {
        struct json_block *block = (struct json_block *)memory - 1;
        list_remove(&block->of_reading);
        rm_free(block);
    }
}

static void json_set_allocator(void)
{
    json_set_alloc_funcs(json_allocate, json_release);
}

void json_use_our_memory(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, json_set_allocator);
}

// Apart from its caller since local variables may lose their values in the jump.
static json_t *json_load_or_escape(struct json_reading *reading, const char *text, size_t length,
                                   json_error_t *failure)
{
    if (setjmp(reading->escape) != 0) {
        reading->has_escaped = true;
        return NULL;
    }
    current_reading = reading;
    return json_loadb(text, length, JSON_REJECT_DUPLICATES, failure);
}

json_t *json_load_guarded(const char *text, size_t length, json_error_t *failure,
                          bool *is_out_of_memory)
{
    json_use_our_memory();
    struct json_reading reading = {.has_escaped = false};
    list_init(&reading.blocks);
    json_t *root = json_load_or_escape(&reading, text, length, failure);
    current_reading = NULL;
    *is_out_of_memory = reading.has_escaped;
    list_each_safe (node, following, &reading.blocks) {
        list_remove(node);
        if (reading.has_escaped) {
            rm_free(list_entry(node, struct json_block, of_reading));
        }
    }
    return root;
}
