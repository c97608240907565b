// SPDX-License-Identifier: GPL-3.0-or-later
#include "metrics/metrics.h"

#include <assert.h>
#include <string.h>

#include "base/alloc.h"
#include "metrics/metrics_internal.h"

size_t metric_number_count(const struct metric_info *info)
{
    return info->kind == METRIC_HISTOGRAM ? info->bucket_count + 2 : 1;
}

double metric_as_double(uint64_t bits)
{
    double value = 0;
    memcpy(&value, &bits, sizeof(value));
    return value;
}

uint64_t metric_as_bits(double value)
{
    uint64_t bits = 0;
    memcpy(&bits, &value, sizeof(bits));
    return bits;
}

static bool metrics_init_families(struct metrics *metrics, const struct metric_info *catalogue)
{
    for (size_t i = 0; i < metrics->count; i++) {
        struct metric_family *family = &metrics->families[i];
        assert(catalogue[i].bucket_count <= METRIC_MAX_BUCKETS);
        family->info = &catalogue[i];
        while (family->label_count < METRIC_MAX_LABELS &&
               catalogue[i].labels[family->label_count] != NULL) {
            family->label_count++;
        }
        family->series = map_new();
        if (family->series == NULL) {
            return false;
        }
    }
    return true;
}

struct metrics *metrics_new(const struct metric_info *catalogue, size_t count)
{
    struct metrics *metrics = rm_calloc(1, sizeof(*metrics));
    if (metrics == NULL) {
        return NULL;
    }
    pthread_mutex_init(&metrics->mutex, NULL);
    list_init(&metrics->sets);
    metrics->families = rm_calloc(count, sizeof(*metrics->families));
    metrics->count = metrics->families != NULL ? count : 0;
    if (metrics->families == NULL || !metrics_init_families(metrics, catalogue)) {
        metrics_free(metrics);
        return NULL;
    }
    return metrics;
}

static void metrics_free_value(void *context, const void *key, size_t key_length, void *value)
{
    (void)context;
    (void)key;
    (void)key_length;
    rm_free(value);
}

static void metrics_free_map(struct map *map)
{
    if (map != NULL) {
        map_visit(map, metrics_free_value, NULL);
        map_free(map);
    }
}

static void metric_set_free(struct metric_set *set, size_t count)
{
    for (size_t i = 0; set->cells != NULL && i < count; i++) {
        metrics_free_map(set->cells[i]);
    }
    rm_free(set->cells);
    rm_free(set);
}

void metrics_free(struct metrics *metrics)
{
    if (metrics == NULL) {
        return;
    }
    list_each_safe (node, following, &metrics->sets) {
        metric_set_free(list_entry(node, struct metric_set, of_metrics), metrics->count);
    }
    for (size_t i = 0; i < metrics->count; i++) {
        metrics_free_map(metrics->families[i].series);
    }
    rm_free(metrics->families);
    pthread_mutex_destroy(&metrics->mutex);
    rm_free(metrics);
}

struct metric_set *metrics_set_new(struct metrics *metrics)
{
    struct metric_set *set = rm_calloc(1, sizeof(*set));
    if (set == NULL) {
        return NULL;
    }
    set->metrics = metrics;
    set->cells = rm_calloc(metrics->count, sizeof(struct map *));
    for (size_t i = 0; set->cells != NULL && i < metrics->count; i++) {
        set->cells[i] = map_new();
        if (set->cells[i] == NULL) {
            metric_set_free(set, metrics->count);
            return NULL;
        }
    }
    if (set->cells == NULL) {
        rm_free(set);
        return NULL;
    }
    pthread_mutex_lock(&metrics->mutex);
    list_append(&metrics->sets, &set->of_metrics);
    pthread_mutex_unlock(&metrics->mutex);
    return set;
}

// One writer per cell: a load and a store suffice, and cost less than an atomic addition.
static void metric_number_add(_Atomic uint64_t *number, uint64_t amount)
{
    uint64_t now = atomic_load_explicit(number, memory_order_relaxed);
    atomic_store_explicit(number, now + amount, memory_order_relaxed);
}

static void metric_number_add_double(_Atomic uint64_t *number, double amount)
{
    double now = metric_as_double(atomic_load_explicit(number, memory_order_relaxed));
    atomic_store_explicit(number, metric_as_bits(now + amount), memory_order_relaxed);
}

void metric_add(struct metric_set *set, size_t metric, const char *const *values, uint64_t amount)
{
    struct metric_cell *cell = metric_cell_find(set, metric, values);
    if (cell != NULL) {
        metric_number_add(&cell->numbers[0], amount);
    }
}

void metric_gauge_set(struct metric_set *set, size_t metric, const char *const *values,
                      double value)
{
    struct metric_cell *cell = metric_cell_find(set, metric, values);
    if (cell != NULL) {
        atomic_store_explicit(&cell->numbers[0], metric_as_bits(value), memory_order_relaxed);
    }
}

void metric_gauge_add(struct metric_set *set, size_t metric, const char *const *values,
                      double delta)
{
    struct metric_cell *cell = metric_cell_find(set, metric, values);
    if (cell != NULL) {
        metric_number_add_double(&cell->numbers[0], delta);
    }
}

void metric_observe(struct metric_set *set, size_t metric, const char *const *values, double value)
{
    struct metric_cell *cell = metric_cell_find(set, metric, values);
    if (cell == NULL) {
        return;
    }
    const struct metric_info *info = set->metrics->families[metric].info;
    size_t bucket = 0;
    while (bucket < info->bucket_count && value > info->buckets[bucket]) {
        bucket++;
    }
    metric_number_add(&cell->numbers[bucket], 1);
    metric_number_add_double(&cell->numbers[info->bucket_count + 1], value);
}

void metric_gauge_clear(struct metric_set *set, size_t metric, const char *const *values)
{
    metric_cell_drop(set, metric, values);
}
