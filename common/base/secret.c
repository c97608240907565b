// SPDX-License-Identifier: GPL-3.0-or-later
//
// An arena of pages that hold nothing but secrets. Small blocks come from slabs: one page cut into
// slots of one size, free slots linked through their first bytes. Larger blocks get pages of their
// own. Slabs are kept for reuse; pages of large blocks go back to the system.
#include "base/secret.h"

#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/alloc_internal.h"

#define SLOT_LEAST_BYTES 64U // a 256-bit key and the head; slot sizes double from here
#define SLOT_CLASS_COUNT 5U  // 64 ... 1024 bytes: a P-384 key in any encoding fits

// Stands before the bytes of every block that is in use. The size is kept here and not derived from
// secret.length, which its owner may lower.
struct secret_head {
    size_t block_bytes; // with the head: a slot's size, or that of whole pages
    size_t padding;     // keeps the bytes aligned for any type
};

struct secret_slot {
    struct secret_slot *next; // free slot of the same class, or NULL
};

struct secret_arena {
    pthread_mutex_t mutex;                            // guards all else
    struct secret_slot *free_slots[SLOT_CLASS_COUNT]; // wiped but for the link
    bool has_unlocked_pages;                          // a lock was refused at least once
};

static struct secret_arena arena = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static size_t secret_page_bytes(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

// The class whose slots hold `block_bytes`; SLOT_CLASS_COUNT when only whole pages do.
static size_t secret_class(size_t block_bytes)
{
    size_t slot_class = 0;
    while (slot_class < SLOT_CLASS_COUNT && block_bytes > (size_t)SLOT_LEAST_BYTES << slot_class) {
        slot_class++;
    }
    return slot_class;
}

// Zero-filled pages, locked where the system allows. Call with the arena's mutex held.
static void *secret_map_pages(size_t bytes)
{
    void *pages = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED) {
        return NULL;
    }
    // Keys in a core dump or a child are worse than no keys: fail closed. A missing lock is
    // reported instead, since containers often come without the right to lock.
    if (madvise(pages, bytes, MADV_DONTDUMP) != 0 || madvise(pages, bytes, MADV_DONTFORK) != 0) {
        munmap(pages, bytes);
        return NULL;
    }
    // mlock() itself becomes nothing under the sanitizers; mlock2() without flags is the same call.
    if (mlock2(pages, bytes, 0) != 0) {
        arena.has_unlocked_pages = true;
    }
    return pages;
}

static bool secret_add_slab(size_t slot_class)
{
    size_t page = secret_page_bytes();
    size_t slot_bytes = (size_t)SLOT_LEAST_BYTES << slot_class;
    uint8_t *slots = secret_map_pages(page);
    if (slots == NULL) {
        return false;
    }
    for (size_t offset = 0; offset + slot_bytes <= page; offset += slot_bytes) {
        struct secret_slot *slot = (struct secret_slot *)(void *)(slots + offset);
        slot->next = arena.free_slots[slot_class];
        arena.free_slots[slot_class] = slot;
    }
    return true;
}

static struct secret_head *secret_take_slot(size_t slot_class)
{
    if (arena.free_slots[slot_class] == NULL && !secret_add_slab(slot_class)) {
        return NULL;
    }
    struct secret_slot *slot = arena.free_slots[slot_class];
    arena.free_slots[slot_class] = slot->next;
    slot->next = NULL;
    struct secret_head *head = (struct secret_head *)(void *)slot;
    head->block_bytes = (size_t)SLOT_LEAST_BYTES << slot_class;
    return head;
}

static struct secret_head *secret_take_pages(size_t block_bytes)
{
    size_t page = secret_page_bytes();
    if (block_bytes > SIZE_MAX - page) {
        return NULL;
    }
    size_t whole = (block_bytes + page - 1) / page * page;
    struct secret_head *head = secret_map_pages(whole);
    if (head != NULL) {
        head->block_bytes = whole;
    }
    return head;
}

enum rm_err secret_new(size_t length, struct secret *out)
{
    *out = (struct secret){0};
    if (length == 0) {
        return RM_OK;
    }
    if (alloc_meets_fault() || length > SIZE_MAX - sizeof(struct secret_head)) {
        return RM_ERR_NO_MEMORY;
    }
    size_t block_bytes = sizeof(struct secret_head) + length;
    size_t slot_class = secret_class(block_bytes);
    pthread_mutex_lock(&arena.mutex);
    struct secret_head *head = slot_class < SLOT_CLASS_COUNT ? secret_take_slot(slot_class)
                                                             : secret_take_pages(block_bytes);
    pthread_mutex_unlock(&arena.mutex);
    if (head == NULL) {
        return RM_ERR_NO_MEMORY;
    }
    out->bytes = (uint8_t *)(head + 1);
    out->length = length;
    return RM_OK;
}

enum rm_err secret_dup(const void *bytes, size_t length, struct secret *out)
{
    RM_TRY(secret_new(length, out));
    if (length > 0) {
        memcpy(out->bytes, bytes, length);
    }
    return RM_OK;
}

static void secret_give_back(struct secret_head *head)
{
    size_t block_bytes = head->block_bytes;
    size_t slot_class = secret_class(block_bytes);
    rm_wipe(head, block_bytes);
    if (slot_class == SLOT_CLASS_COUNT) {
        munmap(head, block_bytes);
        return;
    }
    struct secret_slot *slot = (struct secret_slot *)(void *)head;
    pthread_mutex_lock(&arena.mutex);
    slot->next = arena.free_slots[slot_class];
    arena.free_slots[slot_class] = slot;
    pthread_mutex_unlock(&arena.mutex);
}

void secret_free(struct secret *secret)
{
    if (secret->bytes != NULL) {
        secret_give_back((struct secret_head *)(void *)secret->bytes - 1);
    }
    *secret = (struct secret){0};
}

bool secret_is_locked(void)
{
    pthread_mutex_lock(&arena.mutex);
    bool is_locked = !arena.has_unlocked_pages;
    pthread_mutex_unlock(&arena.mutex);
    return is_locked;
}
