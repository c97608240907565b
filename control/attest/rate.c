// SPDX-License-Identifier: GPL-3.0-or-later
#include "attest/rate.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/list.h"
#include "base/map.h"

#define RATE_SOURCE_BYTES 128

struct bucket {
    struct list node;   // in rate->recent
    double level;       // requests that may still pass
    uint64_t filled_ms; // when level was right
    size_t length;      // of source
    char source[];      // key
};

struct rate {
    double per_s;       // refill
    double burst;       // most
    struct map *map;    // source -> struct bucket
    struct list recent; // least recently used first
};

struct rate *rate_new(double per_s, double burst)
{
    struct rate *rate = rm_calloc(1, sizeof *rate);
    if (rate == NULL) {
        return NULL;
    }
    rate_set(rate, per_s, burst);
    list_init(&rate->recent);
    rate->map = map_new();
    if (rate->map == NULL) {
        rm_free(rate);
        return NULL;
    }
    return rate;
}

static void drop(struct rate *rate, struct bucket *bucket)
{
    map_remove(rate->map, bucket->source, bucket->length);
    list_remove(&bucket->node);
    rm_free(bucket);
}

void rate_free(struct rate *rate)
{
    if (rate == NULL) {
        return;
    }
    list_each_safe (node, following, &rate->recent) {
        drop(rate, list_entry(node, struct bucket, node));
    }
    map_free(rate->map);
    rm_free(rate);
}

void rate_set(struct rate *rate, double per_s, double burst)
{
    rate->per_s = per_s;
    rate->burst = burst;
}

static struct bucket *add(struct rate *rate, const char *source, uint64_t now_ms)
{
    if (map_count(rate->map) >= RATE_MAX_SOURCES) {
        drop(rate, list_entry(list_first(&rate->recent), struct bucket, node));
    }
    size_t length = strlen(source);
    struct bucket *bucket = rm_calloc(1, sizeof *bucket + length + 1);
    if (bucket == NULL) {
        return NULL;
    }
    bucket->length = length;
    memcpy(bucket->source, source, length + 1);
    bucket->level = rate->burst;
    bucket->filled_ms = now_ms;
    if (map_put(rate->map, source, length, bucket, NULL) != RM_OK) {
        rm_free(bucket);
        return NULL;
    }
    list_append(&rate->recent, &bucket->node);
    return bucket;
}

static void network_of(const char *source, char out[RATE_SOURCE_BYTES])
{
    struct in6_addr address;
    if (inet_pton(AF_INET6, source, &address) == 1) {
        memset(address.s6_addr + 8, 0, 8);
        inet_ntop(AF_INET6, &address, out, RATE_SOURCE_BYTES);
    } else {
        snprintf(out, RATE_SOURCE_BYTES, "%s", source);
    }
}

bool rate_pass(struct rate *rate, const char *address, uint64_t now_ms)
{
    char source[RATE_SOURCE_BYTES];
    network_of(address, source);
    struct bucket *bucket = map_get(rate->map, source, strlen(source));
    if (bucket == NULL) {
        bucket = add(rate, source, now_ms);
    }
    if (bucket == NULL) {
        return false;
    }
    list_remove(&bucket->node);
    list_append(&rate->recent, &bucket->node);
    bucket->level += (double)(now_ms - bucket->filled_ms) * rate->per_s / 1000.0;
    bucket->filled_ms = now_ms;
    if (bucket->level > rate->burst) {
        bucket->level = rate->burst;
    }
    if (bucket->level < 1.0) {
        return false;
    }
    bucket->level -= 1.0;
    return true;
}
