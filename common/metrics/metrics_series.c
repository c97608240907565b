// SPDX-License-Identifier: GPL-3.0-or-later
#include <string.h>

#include "base/alloc.h"
#include "base/utf8.h"
#include "metrics/metrics_internal.h"

// The part of a value that fits, without half a character at its end.
static size_t metric_fitting_length(const char *value)
{
    size_t length = 0;
    while (value[length] != '\0') {
        uint32_t code = 0;
        size_t taken = utf8_read(value + length, &code);
        if (length + taken > METRIC_VALUE_BYTES) {
            break;
        }
        length += taken;
    }
    return length;
}

static void metric_key_append(struct metric_key *key, const char *value)
{
    size_t length = metric_fitting_length(value);
    memcpy(key->bytes + key->length, value, length);
    key->bytes[key->length + length] = '\0';
    key->length += length + 1;
}

static void metric_key_make(struct metric_key *key, size_t label_count, const char *const *values)
{
    key->length = 0;
    for (size_t i = 0; i < label_count; i++) {
        metric_key_append(key, values[i] != NULL ? values[i] : "");
    }
}

static void metric_key_make_other(struct metric_key *key, size_t label_count)
{
    key->length = 0;
    for (size_t i = 0; i < label_count; i++) {
        metric_key_append(key, "other");
    }
}

static struct metric_series *metric_series_make(struct metric_family *family,
                                                const struct metric_key *key)
{
    struct metric_series *series = rm_malloc(sizeof(*series) + key->length);
    if (series == NULL) {
        return NULL;
    }
    list_init(&series->cells);
    series->key_length = key->length;
    memcpy(series->key, key->bytes, key->length);
    if (map_put(family->series, key->bytes, key->length, series, NULL) != RM_OK) {
        rm_free(series);
        return NULL;
    }
    return series;
}

// The series for `key`; turns `key` into that of "other" when there is no room for one more.
static struct metric_series *metric_series_admit(struct metric_family *family,
                                                 struct metric_key *key)
{
    struct metric_series *series = map_get(family->series, key->bytes, key->length);
    if (series == NULL && map_count(family->series) >= METRIC_MAX_SERIES) {
        metric_key_make_other(key, family->label_count);
        series = map_get(family->series, key->bytes, key->length);
    }
    return series != NULL ? series : metric_series_make(family, key);
}

// A series without cells says nothing and gives its place back.
static void metric_series_drop_if_empty(struct metric_family *family, struct metric_series *series)
{
    if (list_is_empty(&series->cells)) {
        map_remove(family->series, series->key, series->key_length);
        rm_free(series);
    }
}

static struct metric_cell *metric_cell_make(struct metric_set *set, size_t metric,
                                            struct metric_series *series)
{
    const struct metric_info *info = set->metrics->families[metric].info;
    size_t bytes =
        sizeof(struct metric_cell) + metric_number_count(info) * sizeof(_Atomic uint64_t);
    // Rounded up so that the next block's numbers begin on another line.
    struct metric_cell *cell = rm_calloc(1, (bytes + 63) / 64 * 64);
    if (cell == NULL) {
        return NULL;
    }
    if (map_put(set->cells[metric], series->key, series->key_length, cell, NULL) != RM_OK) {
        rm_free(cell);
        return NULL;
    }
    cell->series = series;
    list_append(&series->cells, &cell->of_series);
    return cell;
}

// The slow half of metric_cell_find(): label values that this set has not met. Call with the mutex.
static struct metric_cell *metric_cell_admit(struct metric_set *set, size_t metric,
                                             struct metric_key *key)
{
    struct metric_family *family = &set->metrics->families[metric];
    struct metric_series *series = metric_series_admit(family, key);
    if (series == NULL) {
        return NULL;
    }
    struct metric_cell *cell = map_get(set->cells[metric], key->bytes, key->length);
    if (cell == NULL) {
        cell = metric_cell_make(set, metric, series);
        metric_series_drop_if_empty(family, series);
    }
    return cell;
}

struct metric_cell *metric_cell_find(struct metric_set *set, size_t metric,
                                     const char *const *values)
{
    struct metrics *metrics = set->metrics;
    struct metric_key key;
    metric_key_make(&key, metrics->families[metric].label_count, values);
    struct metric_cell *cell = map_get(set->cells[metric], key.bytes, key.length);
    if (cell == NULL) {
        pthread_mutex_lock(&metrics->mutex);
        cell = metric_cell_admit(set, metric, &key);
        pthread_mutex_unlock(&metrics->mutex);
    }
    return cell;
}

void metric_cell_drop(struct metric_set *set, size_t metric, const char *const *values)
{
    struct metrics *metrics = set->metrics;
    struct metric_family *family = &metrics->families[metric];
    struct metric_key key;
    metric_key_make(&key, family->label_count, values);
    struct metric_cell *cell = map_remove(set->cells[metric], key.bytes, key.length);
    if (cell == NULL) {
        return;
    }
    pthread_mutex_lock(&metrics->mutex);
    list_remove(&cell->of_series);
    metric_series_drop_if_empty(family, cell->series);
    pthread_mutex_unlock(&metrics->mutex);
    rm_free(cell);
}
