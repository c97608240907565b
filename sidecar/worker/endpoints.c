// SPDX-License-Identifier: GPL-3.0-or-later
#include "worker/endpoints.h"

#include <string.h>

#include "base/alloc.h"

struct candidate {
    const struct mesh_resource *resource;
    const struct endpoint_state *state; // NULL: never dialled
};

static bool was_tried(const struct endpoint_question *question, const char *address)
{
    for (size_t i = 0; i < question->tried_count; i++) {
        if (strcmp(question->tried[i], address) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_in_zone(const struct endpoint_question *question,
                       const struct mesh_endpoint *endpoint)
{
    return question->zone != NULL && question->zone[0] != '\0' &&
           strcmp(endpoint->zone, question->zone) == 0;
}

static bool is_set_aside(const struct endpoint_state *state, uint64_t now_ms)
{
    return state != NULL && (state->ejected_until_ms > now_ms || state->is_probed);
}

// Rank of an endpoint: smaller is better. 0 own zone, 1 elsewhere, 2 set aside.
static int rank_of(const struct endpoint_question *question, const struct candidate *candidate)
{
    if (is_set_aside(candidate->state, question->now_ms)) {
        return 2;
    }
    return is_in_zone(question, &candidate->resource->of.endpoint) ? 0 : 1;
}

static struct candidate candidate_at(const struct endpoint_question *question,
                                     const struct map *states, size_t index)
{
    struct candidate candidate = {0};
    candidate.resource = mesh_view_at(question->view, MESH_ENDPOINT, index);
    const char *address = candidate.resource->of.endpoint.address;
    candidate.state = map_get(states, address, strlen(address));
    return candidate;
}

static bool is_eligible(const struct endpoint_question *question, const struct candidate *candidate)
{
    const struct mesh_endpoint *endpoint = &candidate->resource->of.endpoint;
    return endpoint->is_ready && !was_tried(question, endpoint->address);
}

static uint32_t failure_cost(const struct endpoint_state *state, uint64_t now_ms)
{
    uint64_t halvings = (now_ms - state->failed_ms) / ENDPOINT_FAILURE_HALF_MS;
    return halvings < 32 ? state->failure_cost >> halvings : 0;
}

static uint64_t load_of(const struct endpoint_state *state, uint64_t now_ms)
{
    if (state == NULL) {
        return 0;
    }
    // One that is due for a probe must not lose every draw to idle ones.
    return state->open_count + (state->failure_count > 0 ? 0 : failure_cost(state, now_ms));
}

// Of two, the one with fewer open connections and recent failures.
static const struct mesh_resource *lighter(const struct candidate *a, const struct candidate *b,
                                           uint64_t now_ms)
{
    return load_of(b->state, now_ms) < load_of(a->state, now_ms) ? b->resource : a->resource;
}

// Of two that are set aside: one that nobody probes; the one that returns first; of two that are
// probed, the lighter one, so that those who have no choice do not all meet at one.
static const struct mesh_resource *likelier(const struct candidate *a, const struct candidate *b,
                                            uint64_t now_ms)
{
    if (a->state->is_probed != b->state->is_probed) {
        return a->state->is_probed ? b->resource : a->resource;
    }
    if (a->state->is_probed) {
        return lighter(a, b, now_ms);
    }
    return b->state->ejected_until_ms < a->state->ejected_until_ms ? b->resource : a->resource;
}

// The n-th eligible endpoint of this rank.
static struct candidate nth_of_rank(const struct endpoint_question *question,
                                    const struct map *states, size_t first, size_t count, int rank,
                                    size_t n)
{
    struct candidate candidate = {0};
    for (size_t i = first; i < first + count; i++) {
        candidate = candidate_at(question, states, i);
        if (is_eligible(question, &candidate) && rank_of(question, &candidate) == rank &&
            n-- == 0) {
            break;
        }
    }
    return candidate;
}

const struct mesh_resource *endpoint_choose(const struct endpoint_question *question,
                                            const struct map *states)
{
    size_t first = 0;
    size_t count = 0;
    size_t of_rank[3] = {0};
    mesh_view_endpoints(question->view, question->service, &first, &count);
    for (size_t i = first; i < first + count; i++) {
        struct candidate candidate = candidate_at(question, states, i);
        if (is_eligible(question, &candidate)) {
            of_rank[rank_of(question, &candidate)]++;
        }
    }
    for (int rank = 0; rank < 3; rank++) {
        size_t choices = of_rank[rank];
        if (choices == 0) {
            continue;
        }
        size_t one = question->random % choices;
        size_t other =
            choices == 1 ? one : (one + 1 + (question->random >> 16) % (choices - 1)) % choices;
        struct candidate a = nth_of_rank(question, states, first, count, rank, one);
        struct candidate b = nth_of_rank(question, states, first, count, rank, other);
        return rank == 2 ? likelier(&a, &b, question->now_ms) : lighter(&a, &b, question->now_ms);
    }
    return NULL;
}

struct endpoint_state *endpoint_state_get(struct map *states, const char *address)
{
    struct endpoint_state *state = map_get(states, address, strlen(address));
    if (state != NULL) {
        return state;
    }
    state = rm_calloc(1, sizeof *state);
    if (state == NULL || map_put(states, address, strlen(address), state, NULL) != RM_OK) {
        rm_free(state);
        return NULL;
    }
    lane_init(&state->lane);
    return state;
}

void endpoint_begin(struct endpoint_use *use, struct endpoint_state *state)
{
    use->state = state;
    use->is_probe = state->failure_count > 0 && !state->is_probed;
    state->is_probed = state->is_probed || use->is_probe;
    state->open_count++;
}

static void end_probe(struct endpoint_use *use)
{
    if (use->is_probe) {
        use->is_probe = false;
        use->state->is_probed = false;
    }
}

void endpoint_note_failure(struct endpoint_use *use, uint64_t now_ms)
{
    struct endpoint_state *state = use->state;
    uint32_t cost = failure_cost(state, now_ms) + ENDPOINT_FAILURE_COST;
    end_probe(use);
    state->failure_cost = cost < ENDPOINT_FAILURE_COST_MAX ? cost : ENDPOINT_FAILURE_COST_MAX;
    state->failed_ms = now_ms;
    // A crowd that was under way when it failed tells nothing new.
    if (state->ejected_until_ms > now_ms) {
        return;
    }
    uint32_t shift = state->failure_count < 5 ? state->failure_count : 5;
    uint64_t delay_ms = (uint64_t)ENDPOINT_EJECT_MIN_MS << shift;
    state->failure_count++;
    state->ejected_until_ms =
        now_ms + (delay_ms < ENDPOINT_EJECT_MAX_MS ? delay_ms : ENDPOINT_EJECT_MAX_MS);
}

void endpoint_note_success(struct endpoint_use *use)
{
    end_probe(use);
    use->state->failure_count = 0;
    use->state->ejected_until_ms = 0;
}

void endpoint_end(struct endpoint_use *use)
{
    if (use->state != NULL) {
        end_probe(use);
        use->state->open_count--;
        use->state = NULL;
    }
}

struct prune {
    struct map *wanted; // addresses of the view
    char **gone;        // owned: addresses to forget
    size_t gone_count;  // of gone
};

static void note_gone(void *context, const void *key, size_t key_length, void *value)
{
    struct prune *prune = context;
    const struct endpoint_state *state = value;
    if (state->open_count == 0 && map_get(prune->wanted, key, key_length) == NULL) {
        char *address = rm_strndup(key, key_length);
        if (address != NULL) {
            prune->gone[prune->gone_count++] = address;
        }
    }
}

// False when memory is exhausted.
static bool collect_addresses(struct map *wanted, const struct mesh_view *view)
{
    size_t count = mesh_view_count(view, MESH_ENDPOINT);
    for (size_t i = 0; i < count; i++) {
        char *address = mesh_view_at(view, MESH_ENDPOINT, i)->of.endpoint.address;
        if (map_put(wanted, address, strlen(address), address, NULL) != RM_OK) {
            return false;
        }
    }
    return true;
}

void endpoints_prune(struct map *states, const struct mesh_view *view)
{
    // As many states as the view has endpoints is no growth, and the common case.
    if (map_count(states) <= mesh_view_count(view, MESH_ENDPOINT)) {
        return;
    }
    struct prune prune = {.wanted = map_new(),
                          .gone = rm_calloc(map_count(states), sizeof *prune.gone)};
    // Without memory the next change of the view tries again.
    if (prune.wanted != NULL && prune.gone != NULL && collect_addresses(prune.wanted, view)) {
        map_visit(states, note_gone, &prune);
    }
    for (size_t i = 0; i < prune.gone_count; i++) {
        rm_free(map_remove(states, prune.gone[i], strlen(prune.gone[i])));
        rm_free(prune.gone[i]);
    }
    rm_free(prune.gone);
    map_free(prune.wanted);
}

static void free_state(void *context, const void *key, size_t key_length, void *value)
{
    (void)context;
    (void)key;
    (void)key_length;
    rm_free(value);
}

void endpoints_free(struct map *states)
{
    if (states != NULL) {
        map_visit(states, free_state, NULL);
        map_free(states);
    }
}
