// SPDX-License-Identifier: GPL-3.0-or-later
//
// Chained buckets, doubled when there are as many entries as buckets.
#include "base/map.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/alloc.h"
#include "base/siphash_internal.h"

#define MAP_FIRST_BUCKETS 8 // a power of two, as every later count

struct map_entry {
    struct map_entry *next; // in the same bucket, or NULL
    void *value;            // borrowed
    uint64_t hash;          // of the key
    size_t key_length;      // bytes of `key`
    uint8_t key[];          // copied
};

struct map {
    struct map_entry **buckets; // owned
    size_t bucket_count;        // a power of two
    size_t entry_count;         // in all buckets
};

static uint8_t hash_key[16];
static pthread_once_t hash_key_once = PTHREAD_ONCE_INIT;

static void map_draw_hash_key(void)
{
    size_t done = 0;
    while (done < sizeof(hash_key)) {
        ssize_t got = getrandom(hash_key + done, sizeof(hash_key) - done, 0);
        if (got > 0) {
            done += (size_t)got;
        } else if (errno != EINTR) {
            // A kernel without random bytes cannot run a program that lives on keys.
            abort();
        }
    }
}

struct map *map_new(void)
{
    pthread_once(&hash_key_once, map_draw_hash_key);
    struct map *map = rm_malloc(sizeof(*map));
    if (map == NULL) {
        return NULL;
    }
    *map = (struct map){.bucket_count = MAP_FIRST_BUCKETS};
    map->buckets = rm_calloc(MAP_FIRST_BUCKETS, sizeof(struct map_entry *));
    if (map->buckets == NULL) {
        rm_free(map);
        return NULL;
    }
    return map;
}

void map_free(struct map *map)
{
    if (map == NULL) {
        return;
    }
    for (size_t i = 0; i < map->bucket_count; i++) {
        struct map_entry *following = NULL;
        for (struct map_entry *entry = map->buckets[i]; entry != NULL; entry = following) {
            following = entry->next;
            rm_free(entry);
        }
    }
    rm_free(map->buckets);
    rm_free(map);
}

size_t map_count(const struct map *map)
{
    return map->entry_count;
}

// The link that points to the entry, or the one at the bucket's end that points to NULL.
static struct map_entry **map_find(const struct map *map, uint64_t hash, const void *key,
                                   size_t key_length)
{
    struct map_entry **link = &map->buckets[hash & (map->bucket_count - 1)];
    while (*link != NULL) {
        struct map_entry *entry = *link;
        if (entry->hash == hash && entry->key_length == key_length &&
            (key_length == 0 || memcmp(entry->key, key, key_length) == 0)) {
            break;
        }
        link = &entry->next;
    }
    return link;
}

void *map_get(const struct map *map, const void *key, size_t key_length)
{
    const struct map_entry *entry =
        *map_find(map, siphash(hash_key, key, key_length), key, key_length);
    return entry != NULL ? entry->value : NULL;
}

static enum rm_err map_grow(struct map *map)
{
    size_t bucket_count = map->bucket_count * 2;
    struct map_entry **buckets = rm_calloc(bucket_count, sizeof(struct map_entry *));
    if (buckets == NULL) {
        return RM_ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < map->bucket_count; i++) {
        struct map_entry *following = NULL;
        for (struct map_entry *entry = map->buckets[i]; entry != NULL; entry = following) {
            following = entry->next;
            struct map_entry **bucket = &buckets[entry->hash & (bucket_count - 1)];
            entry->next = *bucket;
            *bucket = entry;
        }
    }
    rm_free(map->buckets);
    map->buckets = buckets;
    map->bucket_count = bucket_count;
    return RM_OK;
}

static enum rm_err map_insert(struct map *map, uint64_t hash, const void *key, size_t key_length,
                              void *value)
{
    if (key_length > SIZE_MAX - sizeof(struct map_entry)) {
        return RM_ERR_NO_MEMORY;
    }
    if (map->entry_count >= map->bucket_count) {
        RM_TRY(map_grow(map));
    }
    struct map_entry *entry = rm_malloc(sizeof(*entry) + key_length);
    if (entry == NULL) {
        return RM_ERR_NO_MEMORY;
    }
    struct map_entry **bucket = &map->buckets[hash & (map->bucket_count - 1)];
    entry->next = *bucket;
    entry->value = value;
    entry->hash = hash;
    entry->key_length = key_length;
    if (key_length > 0) {
        memcpy(entry->key, key, key_length);
    }
    *bucket = entry;
    map->entry_count++;
    return RM_OK;
}

enum rm_err map_put(struct map *map, const void *key, size_t key_length, void *value,
                    void **previous)
{
    uint64_t hash = siphash(hash_key, key, key_length);
    struct map_entry *entry = *map_find(map, hash, key, key_length);
    if (entry == NULL) {
        RM_TRY(map_insert(map, hash, key, key_length, value));
        if (previous != NULL) {
            *previous = NULL;
        }
        return RM_OK;
    }
    if (previous != NULL) {
        *previous = entry->value;
    }
    entry->value = value;
    return RM_OK;
}

void *map_remove(struct map *map, const void *key, size_t key_length)
{
    struct map_entry **link = map_find(map, siphash(hash_key, key, key_length), key, key_length);
    struct map_entry *entry = *link;
    if (entry == NULL) {
        return NULL;
    }
    void *value = entry->value;
    *link = entry->next;
    rm_free(entry);
    map->entry_count--;
    return value;
}

void map_visit(const struct map *map, map_visit_fn visit, void *context)
{
    for (size_t i = 0; i < map->bucket_count; i++) {
        for (const struct map_entry *entry = map->buckets[i]; entry != NULL; entry = entry->next) {
            visit(context, entry->key, entry->key_length, entry->value);
        }
    }
}
