// SPDX-License-Identifier: GPL-3.0-or-later
#include "policy/glob.h"

#include <string.h>

#include "identity/spiffe.h"

// A stretch of text; not NUL-terminated.
struct span {
    const char *at; // borrowed
    size_t length;  // may be 0
};

static bool span_is(struct span span, const char *text)
{
    return span.length == strlen(text) && memcmp(span.at, text, span.length) == 0;
}

// Takes the first "/segment" off `path`.
static bool take_first(struct span *path, struct span *segment)
{
    if (path->length == 0) {
        return false;
    }
    const char *slash = memchr(path->at + 1, '/', path->length - 1);
    size_t taken = slash == NULL ? path->length : (size_t)(slash - path->at);
    *segment = (struct span){path->at + 1, taken - 1};
    *path = (struct span){path->at + taken, path->length - taken};
    return true;
}

// Takes the last "/segment" off `path`.
static bool take_last(struct span *path, struct span *segment)
{
    if (path->length == 0) {
        return false;
    }
    const char *slash = memrchr(path->at, '/', path->length);
    size_t kept = (size_t)(slash - path->at);
    *segment = (struct span){slash + 1, path->length - kept - 1};
    path->length = kept;
    return true;
}

// Splits "spiffe://td" from "/path". False when `text` has no such beginning.
static bool split(struct span text, struct span *head, struct span *path)
{
    static const char scheme[] = "spiffe://";
    const size_t scheme_length = sizeof(scheme) - 1;
    if (text.length < scheme_length || memcmp(text.at, scheme, scheme_length) != 0) {
        return false;
    }
    const char *slash = memchr(text.at + scheme_length, '/', text.length - scheme_length);
    size_t head_length = slash == NULL ? text.length : (size_t)(slash - text.at);
    *head = (struct span){text.at, head_length};
    *path = (struct span){text.at + head_length, text.length - head_length};
    return true;
}

// The literals between the stars must follow each other; the leftmost place for each leaves the
// most room to the next, so nothing is ever tried twice. memmem() is linear.
static bool middle_matches(struct span pattern, struct span text)
{
    while (pattern.length > 0) {
        const char *star = memchr(pattern.at, '*', pattern.length);
        size_t literal = star == NULL ? pattern.length : (size_t)(star - pattern.at);
        const char *found = memmem(text.at, text.length, pattern.at, literal);
        if (found == NULL) {
            return false;
        }
        size_t used = (size_t)(found - text.at) + literal;
        text = (struct span){text.at + used, text.length - used};
        size_t skipped = star == NULL ? literal : literal + 1;
        pattern = (struct span){pattern.at + skipped, pattern.length - skipped};
    }
    return true;
}

static bool segment_matches(struct span pattern, struct span text)
{
    const char *first = memchr(pattern.at, '*', pattern.length);
    if (first == NULL) {
        return pattern.length == text.length && memcmp(pattern.at, text.at, text.length) == 0;
    }
    const char *last = memrchr(pattern.at, '*', pattern.length);
    size_t prefix = (size_t)(first - pattern.at);
    size_t suffix = pattern.length - (size_t)(last - pattern.at) - 1;
    if (text.length < prefix + suffix || memcmp(text.at, pattern.at, prefix) != 0 ||
        memcmp(text.at + text.length - suffix, last + 1, suffix) != 0) {
        return false;
    }
    return middle_matches((struct span){first, (size_t)(last - first)},
                          (struct span){text.at + prefix, text.length - prefix - suffix});
}

// After "**": what is left of the pattern must be the end of what is left of the ID.
static bool tail_matches(struct span pattern, struct span path)
{
    struct span wanted;
    struct span segment;
    while (take_last(&pattern, &wanted)) {
        if (!take_last(&path, &segment) || !segment_matches(wanted, segment)) {
            return false;
        }
    }
    return true;
}

static bool path_matches(struct span pattern, struct span path)
{
    struct span wanted;
    struct span segment;
    while (take_first(&pattern, &wanted)) {
        if (span_is(wanted, "**")) {
            return tail_matches(pattern, path);
        }
        if (!take_first(&path, &segment) || !segment_matches(wanted, segment)) {
            return false;
        }
    }
    return path.length == 0;
}

bool glob_match(const char *pattern, const char *spiffe_id, size_t spiffe_id_length)
{
    struct span pattern_head;
    struct span pattern_path;
    struct span id_head;
    struct span id_path;
    return split((struct span){pattern, strlen(pattern)}, &pattern_head, &pattern_path) &&
           split((struct span){spiffe_id, spiffe_id_length}, &id_head, &id_path) &&
           id_head.length == pattern_head.length &&
           memcmp(id_head.at, pattern_head.at, id_head.length) == 0 &&
           path_matches(pattern_path, id_path);
}

// A pattern is a SPIFFE ID in which stars may stand: with a letter for each star it must be one.
static enum rm_err check_without_stars(struct span pattern, struct rm_error *error)
{
    char plain[SPIFFE_ID_MAX_BYTES];
    for (size_t i = 0; i < pattern.length; i++) {
        plain[i] = pattern.at[i] == '*' ? 'x' : pattern.at[i];
    }
    struct spiffe_id id;
    return spiffe_id_parse(plain, pattern.length, &id, error);
}

static enum rm_err check_segments(struct span pattern, struct span path, struct rm_error *error)
{
    size_t runs = 0;
    struct span segment;
    while (take_first(&path, &segment)) {
        size_t offset = (size_t)(segment.at - pattern.at);
        if (span_is(segment, "**")) {
            runs++;
        } else if (memmem(segment.at, segment.length, "**", 2) != NULL) {
            return rm_error_set(error, RM_ERR_MALFORMED,
                                "\"**\" must be a whole segment (offset %zu)", offset);
        }
        if (runs > 1) {
            return rm_error_set(error, RM_ERR_MALFORMED,
                                "only one \"**\" may stand in a pattern (offset %zu)", offset);
        }
    }
    return RM_OK;
}

enum rm_err glob_check(const char *pattern, struct rm_error *error)
{
    struct span text = {pattern, strnlen(pattern, SPIFFE_ID_MAX_BYTES + 1)};
    if (text.length > SPIFFE_ID_MAX_BYTES) {
        return rm_error_set(error, RM_ERR_MALFORMED, "the pattern is longer than %d bytes",
                            SPIFFE_ID_MAX_BYTES);
    }
    struct span head;
    struct span path;
    if (split(text, &head, &path) && memchr(head.at, '*', head.length) != NULL) {
        return rm_error_set(error, RM_ERR_MALFORMED,
                            "the trust domain of a pattern must be literal");
    }
    if (check_without_stars(text, error) != RM_OK) {
        return error == NULL ? RM_ERR_MALFORMED : (error->code = RM_ERR_MALFORMED);
    }
    if (path.length == 0) {
        return rm_error_set(error, RM_ERR_MALFORMED,
                            "the pattern has no path: no workload has such an ID (append \"/**\" "
                            "for the whole trust domain)");
    }
    return check_segments(text, path, error);
}
