// SPDX-License-Identifier: GPL-3.0-or-later
#include "cases.h"
#include "policy/glob.h"

#define MOST_SEGMENTS 6
#define MOST_CHARS 5
#define TEXT_BYTES 128

// Tries every way, over NUL-terminated text: slow and plain.
static bool naive_segment(const char *pattern, const char *text)
{
    if (*pattern == '\0') {
        return *text == '\0';
    }
    if (*pattern == '*') {
        return naive_segment(pattern + 1, text) ||
               (*text != '\0' && naive_segment(pattern, text + 1));
    }
    return *pattern == *text && naive_segment(pattern + 1, text + 1);
}

struct path {
    char segments[MOST_SEGMENTS][MOST_CHARS + 1]; // NUL-terminated
    size_t count;                                 // of segments
};

static bool naive_path(const struct path *pattern, size_t i, const struct path *text, size_t j)
{
    if (i == pattern->count) {
        return j == text->count;
    }
    if (strcmp(pattern->segments[i], "**") == 0) {
        return naive_path(pattern, i + 1, text, j) ||
               (j < text->count && naive_path(pattern, i, text, j + 1));
    }
    return j < text->count && naive_segment(pattern->segments[i], text->segments[j]) &&
           naive_path(pattern, i + 1, text, j + 1);
}

static struct path random_path(uint32_t *seed, bool is_pattern)
{
    struct path path = {.count = next_random(seed) % (MOST_SEGMENTS + 1)};
    bool has_run = false;
    for (size_t i = 0; i < path.count; i++) {
        if (is_pattern && !has_run && next_random(seed) % 4 == 0) {
            memcpy(path.segments[i], "**", 3);
            has_run = true;
            continue;
        }
        size_t length = 1 + next_random(seed) % MOST_CHARS;
        for (size_t j = 0; j < length; j++) {
            bool may_star = is_pattern && (j == 0 || path.segments[i][j - 1] != '*');
            path.segments[i][j] = "ab*"[next_random(seed) % (may_star ? 3 : 2)];
        }
    }
    return path;
}

static void print_path(const struct path *path, char out[TEXT_BYTES])
{
    strcpy(out, "spiffe://td");
    for (size_t i = 0; i < path->count; i++) {
        strcat(out, "/");
        strcat(out, path->segments[i]);
    }
}

static void both_say_the_same(void **state)
{
    (void)state;
    uint32_t seed = 20240607;
    unsigned matches = 0;
    for (int round = 0; round < 300000; round++) {
        struct path pattern = random_path(&seed, true);
        struct path text = random_path(&seed, false);
        char pattern_text[TEXT_BYTES];
        char id_text[TEXT_BYTES];
        print_path(&pattern, pattern_text);
        print_path(&text, id_text);
        bool expected = naive_path(&pattern, 0, &text, 0);
        bool found = glob_match(pattern_text, id_text, strlen(id_text));
        if (found != expected) {
            fail_msg("%s against %s: %d, naive %d", pattern_text, id_text, found, expected);
        }
        if (pattern.count > 0) {
            assert_int_equal(glob_check(pattern_text, NULL), RM_OK);
        }
        matches += expected;
    }
    assert_in_range(matches, 10000, 290000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_say_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
