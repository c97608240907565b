// SPDX-License-Identifier: GPL-3.0-or-later
#include <stdio.h>
#include <string.h>

#include "config/config_internal.h"

// Longer words are not compared: no key or choice is that long.
#define SUGGEST_WORD_BYTES 48

void config_show(const char *text, char out[CONFIG_SHOWN_BYTES])
{
    size_t i = 0;
    for (; text[i] != '\0' && i + 4 < CONFIG_SHOWN_BYTES; i++) {
        out[i] = text[i] >= 0x20 && text[i] < 0x7f ? text[i] : '?';
    }
    snprintf(out + i, CONFIG_SHOWN_BYTES - i, "%s", text[i] != '\0' ? "..." : "");
}

static size_t suggest_least(size_t a, size_t b)
{
    return a < b ? a : b;
}

// Insertions, deletions, changes and swaps of neighbours that lead from one word to the other
// (optimal string alignment).
static size_t suggest_distance(const char *a, const char *b)
{
    size_t a_length = strlen(a);
    size_t b_length = strlen(b);
    if (a_length >= SUGGEST_WORD_BYTES || b_length >= SUGGEST_WORD_BYTES) {
        return SIZE_MAX;
    }
    size_t rows[3][SUGGEST_WORD_BYTES]; // the current row and the two before it, by turns
    for (size_t j = 0; j <= b_length; j++) {
        rows[0][j] = j;
    }
    for (size_t i = 1; i <= a_length; i++) {
        size_t *row = rows[i % 3];
        const size_t *above = rows[(i + 2) % 3];
        const size_t *second = rows[(i + 1) % 3];
        row[0] = i;
        for (size_t j = 1; j <= b_length; j++) {
            size_t change = above[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
            row[j] = suggest_least(change, suggest_least(above[j], row[j - 1]) + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
                row[j] = suggest_least(row[j], second[j - 2] + 1);
            }
        }
    }
    return rows[a_length % 3][b_length];
}

// The word to suggest so far.
struct suggest_best {
    const char *word; // borrowed; NULL while none is near enough
    size_t distance;  // of `word`
};

// One mistake in three characters is still the same word.
static void suggest_consider(struct suggest_best *best, const char *written, const char *known)
{
    size_t distance = suggest_distance(written, known);
    size_t allowed = (strlen(known) + 2) / 3;
    if (distance <= allowed && (best->word == NULL || distance < best->distance)) {
        best->word = known;
        best->distance = distance;
    }
}

static void suggest_append(char out[CONFIG_HINT_BYTES], const char *before, const char *word)
{
    size_t used = strlen(out);
    snprintf(out + used, CONFIG_HINT_BYTES - used, "%s%s", before, word);
}

void config_suggest_key(const struct config_field *fields, const char *key,
                        char out[CONFIG_HINT_BYTES])
{
    struct suggest_best best = {0};
    for (const struct config_field *field = fields; field->key != NULL; field++) {
        suggest_consider(&best, key, field->key);
    }
    if (best.word != NULL) {
        snprintf(out, CONFIG_HINT_BYTES, "; did you mean '%s'?", best.word);
        return;
    }
    out[0] = '\0';
    for (const struct config_field *field = fields; field->key != NULL; field++) {
        suggest_append(out, field == fields ? "; known here: " : ", ", field->key);
    }
}

void config_suggest_choice(const char *const *choices, const char *text,
                           char out[CONFIG_HINT_BYTES])
{
    struct suggest_best best = {0};
    for (const char *const *choice = choices; *choice != NULL; choice++) {
        suggest_consider(&best, text, *choice);
    }
    if (best.word != NULL) {
        snprintf(out, CONFIG_HINT_BYTES, "; did you mean '%s'?", best.word);
        return;
    }
    out[0] = '\0';
    for (const char *const *choice = choices; *choice != NULL; choice++) {
        const char *before = choice == choices ? "; use " : choice[1] != NULL ? ", " : " or ";
        suggest_append(out, before, *choice);
    }
}
