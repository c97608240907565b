// SPDX-License-Identifier: GPL-3.0-or-later
//
// Prometheus text format 0.0.4. Series are sorted, so that two readings differ in numbers only.
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/utf8.h"
#include "metrics/metrics_internal.h"

#define METRIC_NUMBER_BYTES 40

// The shortest decimal text that reads back as the same number.
static void metric_format_double(double value, char out[METRIC_NUMBER_BYTES])
{
    if (isnan(value)) {
        snprintf(out, METRIC_NUMBER_BYTES, "NaN");
        return;
    }
    if (isinf(value)) {
        snprintf(out, METRIC_NUMBER_BYTES, value > 0 ? "+Inf" : "-Inf");
        return;
    }
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(out, METRIC_NUMBER_BYTES, "%.*g", digits, value);
        if (digits == 17 || memcmp(&(double){strtod(out, NULL)}, &value, sizeof(value)) == 0) {
            return;
        }
    }
}

// A label value between its quotes. Control characters other than the newline have no spelling in
// the format and no place in a name.
static enum rm_err metric_write_escaped(struct buffer *out, const char *value)
{
    while (*value != '\0') {
        uint32_t code = 0;
        size_t length = utf8_read(value, &code);
        if (code == '\n') {
            RM_TRY(buffer_append_text(out, "\\n"));
        } else if (code == '"' || code == '\\') {
            RM_TRY(buffer_printf(out, "\\%c", (int)code));
        } else if (code < 0x20 || code == 0x7f || code == UTF8_REPLACEMENT) {
            RM_TRY(buffer_append_text(out, "\xef\xbf\xbd"));
        } else {
            RM_TRY(buffer_append(out, value, length));
        }
        value += length;
    }
    return RM_OK;
}

// "name_suffix{label="value",...,le="bound"}" and a space.
static enum rm_err metric_write_name(struct buffer *out, const struct metric_family *family,
                                     const struct metric_series *series, const char *suffix,
                                     const char *bound)
{
    RM_TRY(buffer_printf(out, "%s%s", family->info->name, suffix));
    const char *before = "{";
    const char *value = series != NULL ? series->key : NULL;
    for (size_t i = 0; value != NULL && i < family->label_count; i++) {
        RM_TRY(buffer_printf(out, "%s%s=\"", before, family->info->labels[i]));
        RM_TRY(metric_write_escaped(out, value));
        RM_TRY(buffer_append_text(out, "\""));
        before = ",";
        value += strlen(value) + 1;
    }
    if (bound != NULL) {
        RM_TRY(buffer_printf(out, "%sle=\"%s\"", before, bound));
        before = ",";
    }
    return buffer_append_text(out, before[0] == ',' ? "} " : " ");
}

// The numbers of a series, merged over the sets. Gauges and sums of histograms are doubles.
struct metric_totals {
    uint64_t counts[METRIC_MAX_BUCKETS + 1]; // counter: [0]; histogram: per bucket and +Inf
    double sum;                              // gauge; histogram: its sum
};

static void metric_merge(const struct metric_info *info, const struct metric_series *series,
                         struct metric_totals *totals)
{
    *totals = (struct metric_totals){0};
    size_t number_count = metric_number_count(info);
    size_t sum_index = info->kind == METRIC_COUNTER ? number_count : number_count - 1;
    list_each (node, &series->cells) {
        const struct metric_cell *cell = list_entry(node, struct metric_cell, of_series);
        for (size_t i = 0; i < number_count; i++) {
            uint64_t number = atomic_load_explicit(&cell->numbers[i], memory_order_relaxed);
            if (i == sum_index) {
                totals->sum += metric_as_double(number);
            } else {
                totals->counts[i] += number;
            }
        }
    }
}

static enum rm_err metric_write_histogram(struct buffer *out, const struct metric_family *family,
                                          const struct metric_series *series,
                                          const struct metric_totals *totals)
{
    const struct metric_info *info = family->info;
    uint64_t count = 0;
    char number[METRIC_NUMBER_BYTES];
    for (size_t i = 0; i <= info->bucket_count; i++) {
        metric_format_double(i < info->bucket_count ? info->buckets[i] : INFINITY, number);
        count += totals->counts[i];
        RM_TRY(metric_write_name(out, family, series, "_bucket", number));
        RM_TRY(buffer_printf(out, "%" PRIu64 "\n", count));
    }
    metric_format_double(totals->sum, number);
    RM_TRY(metric_write_name(out, family, series, "_sum", NULL));
    RM_TRY(buffer_printf(out, "%s\n", number));
    RM_TRY(metric_write_name(out, family, series, "_count", NULL));
    return buffer_printf(out, "%" PRIu64 "\n", count);
}

static enum rm_err metric_write_series(struct buffer *out, const struct metric_family *family,
                                       const struct metric_series *series,
                                       const struct metric_totals *totals)
{
    if (family->info->kind == METRIC_HISTOGRAM) {
        return metric_write_histogram(out, family, series, totals);
    }
    RM_TRY(metric_write_name(out, family, series, "", NULL));
    if (family->info->kind == METRIC_COUNTER) {
        return buffer_printf(out, "%" PRIu64 "\n", totals->counts[0]);
    }
    char number[METRIC_NUMBER_BYTES];
    metric_format_double(totals->sum, number);
    return buffer_printf(out, "%s\n", number);
}

// Series of one family, to be sorted.
struct metric_sorting {
    const struct metric_series **series; // owned
    size_t count;                        // of `series`
};

static void metric_sorting_add(void *context, const void *key, size_t key_length, void *value)
{
    (void)key;
    (void)key_length;
    struct metric_sorting *sorting = context;
    sorting->series[sorting->count++] = value;
}

static int metric_series_compare(const void *left, const void *right)
{
    const struct metric_series *a = *(const struct metric_series *const *)left;
    const struct metric_series *b = *(const struct metric_series *const *)right;
    size_t shorter = a->key_length < b->key_length ? a->key_length : b->key_length;
    int order = memcmp(a->key, b->key, shorter);
    return order != 0 ? order : (a->key_length > b->key_length) - (a->key_length < b->key_length);
}

static enum rm_err metric_write_all_series(struct buffer *out, const struct metric_family *family)
{
    struct metric_sorting sorting = {0};
    sorting.series = rm_calloc(map_count(family->series), sizeof(struct metric_series *));
    if (sorting.series == NULL) {
        return RM_ERR_NO_MEMORY;
    }
    map_visit(family->series, metric_sorting_add, &sorting);
    qsort(sorting.series, sorting.count, sizeof(struct metric_series *), metric_series_compare);
    enum rm_err result = RM_OK;
    for (size_t i = 0; result == RM_OK && i < sorting.count; i++) {
        struct metric_totals totals;
        metric_merge(family->info, sorting.series[i], &totals);
        result = metric_write_series(out, family, sorting.series[i], &totals);
    }
    rm_free(sorting.series);
    return result;
}

static enum rm_err metric_write_family(struct buffer *out, const struct metric_family *family)
{
    static const char *const kinds[] = {"counter", "gauge", "histogram"};
    const struct metric_info *info = family->info;
    RM_TRY(buffer_printf(out, "# HELP %s %s\n# TYPE %s %s\n", info->name, info->help, info->name,
                         kinds[info->kind]));
    if (map_count(family->series) > 0) {
        return metric_write_all_series(out, family);
    }
    // What can be counted from the start begins at 0, so that the first event shows as a change. A
    // gauge that was never set is unknown, which 0 is not.
    if (family->label_count == 0 && info->kind != METRIC_GAUGE) {
        return metric_write_series(out, family, NULL, &(struct metric_totals){0});
    }
    return RM_OK;
}

enum rm_err metrics_write(struct metrics *metrics, struct buffer *out)
{
    enum rm_err result = RM_OK;
    pthread_mutex_lock(&metrics->mutex);
    for (size_t i = 0; result == RM_OK && i < metrics->count; i++) {
        result = metric_write_family(out, &metrics->families[i]);
    }
    pthread_mutex_unlock(&metrics->mutex);
    return result;
}
