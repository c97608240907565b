// SPDX-License-Identifier: GPL-3.0-or-later
#include "base/alloc.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc_internal.h"

// Fault injection costs one thread-local increment and comparison, armed or not: the count starts
// at 0 and moves past `failing_allocation` once, so a fault needs no disarming.
static _Thread_local uint64_t allocation_count;
static _Thread_local uint64_t failing_allocation;

bool alloc_meets_fault(void)
{
    allocation_count++;
    return allocation_count == failing_allocation;
}

void rm_alloc_fail_at(uint64_t n)
{
    allocation_count = 0;
    failing_allocation = n;
}

uint64_t rm_alloc_count(void)
{
    return allocation_count;
}

void *rm_malloc(size_t size)
{
    return alloc_meets_fault() ? NULL : malloc(size > 0 ? size : 1);
}

void *rm_calloc(size_t count, size_t size)
{
    if (alloc_meets_fault()) {
        return NULL;
    }
    return count == 0 || size == 0 ? calloc(1, 1) : calloc(count, size);
}

void *rm_realloc(void *block, size_t size)
{
    // realloc(block, 0) would free the block and give NULL, which reads as a failure.
    return alloc_meets_fault() ? NULL : realloc(block, size > 0 ? size : 1);
}

char *rm_strdup(const char *text)
{
    return rm_strndup(text, strlen(text));
}

char *rm_strndup(const char *text, size_t length)
{
    size_t used = strnlen(text, length);
    char *copy = rm_malloc(used + 1);
    if (copy != NULL) {
        memcpy(copy, text, used);
        copy[used] = '\0';
    }
    return copy;
}

void *rm_memdup(const void *bytes, size_t length)
{
    void *copy = rm_malloc(length);
    if (copy != NULL && length > 0) {
        memcpy(copy, bytes, length);
    }
    return copy;
}

void rm_free(void *block)
{
    free(block);
}

void rm_give_back(void)
{
#ifdef __GLIBC__
    (void)malloc_trim(0);
#endif
}

void rm_wipe(void *block, size_t size)
{
    if (size > 0) {
        explicit_bzero(block, size);
    }
}

void rm_free_wiped(void *block, size_t size)
{
    if (block != NULL) {
        rm_wipe(block, size);
        rm_free(block);
    }
}

void rm_free_wiped_string(char *text)
{
    if (text != NULL) {
        rm_free_wiped(text, strlen(text));
    }
}

bool rm_equal_secret(const void *a, const void *b, size_t size)
{
    const volatile uint8_t *left = a;
    const volatile uint8_t *right = b;
    uint8_t difference = 0;
    for (size_t i = 0; i < size; i++) {
        difference |= (uint8_t)(left[i] ^ right[i]);
    }
    return difference == 0;
}
