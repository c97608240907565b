// SPDX-License-Identifier: GPL-3.0-or-later
#include "loop/resolver.h"

#include "base/alloc.h"
#include "loop/resolver_internal.h"

static void resolver_free_if_done(struct resolver *resolver)
{
    if (resolver->channel == NULL && list_is_empty(&resolver->lookups)) {
        deferred_schedule(resolver->loop, &resolver->gone);
    }
}

static void resolver_on_gone(void *context)
{
    struct resolver *resolver = context;
    struct loop *loop = resolver->loop;
    rm_free(resolver);
    loop_close(loop);
}

static void lookup_free_if_done(struct resolver_lookup *lookup)
{
    if (lookup->is_at_cares || !lookup->is_answered) {
        return;
    }
    struct resolver *resolver = lookup->resolver;
    list_remove(&lookup->node);
    rm_free(lookup->addresses);
    rm_free(lookup);
    resolver_free_if_done(resolver);
}

// Lets go of the look-up first: the user may close the resolver, and c-ares then the look-up.
static void lookup_deliver(struct resolver_lookup *lookup)
{
    const struct resolver_lookup answer = *lookup;
    timer_stop(&lookup->deadline);
    lookup->addresses = NULL;
    lookup->is_answered = true;
    lookup_free_if_done(lookup);
    answer.on_answer(answer.context, answer.result, answer.addresses,
                     answer.result == RM_OK ? answer.count : 0);
    rm_free(answer.addresses);
}

static void lookup_on_answer(void *context)
{
    lookup_deliver(context);
}

// c-ares cannot give up a single query: it may go on, and its answer is dropped.
static void lookup_on_deadline(void *context)
{
    struct resolver_lookup *lookup = context;
    deferred_cancel(&lookup->answer);
    lookup->result = RM_ERR_TIMEOUT;
    lookup_deliver(lookup);
}

static void lookup_on_cares(void *context, int status, int timeouts, struct ares_addrinfo *found)
{
    (void)timeouts;
    struct resolver_lookup *lookup = context;
    lookup->is_at_cares = false;
    lookup->resolver->asking_count--;
    if (lookup->is_answered) {
        lookup_free_if_done(lookup);
    } else {
        lookup->result = resolver_code(status);
        if (lookup->result == RM_OK) {
            lookup->result = resolver_answer_store(lookup, found);
        }
        deferred_schedule(lookup->resolver->loop, &lookup->answer);
    }
    if (found != NULL) {
        ares_freeaddrinfo(found);
    }
}

enum rm_err resolver_open(struct loop *loop, struct resolver **out, struct rm_error *error)
{
    struct resolver *resolver = rm_calloc(1, sizeof(*resolver));
    if (resolver == NULL) {
        return rm_error_set(error, RM_ERR_NO_MEMORY, "no memory for a resolver");
    }
    resolver->loop = loop;
    list_init(&resolver->sockets);
    list_init(&resolver->lookups);
    deferred_init(&resolver->gone, resolver_on_gone, resolver);
    enum rm_err result = resolver_channel_open(resolver, error);
    if (result != RM_OK) {
        rm_free(resolver);
        return result;
    }
    loop_open(loop);
    *out = resolver;
    return RM_OK;
}

void resolver_close(struct resolver *resolver)
{
    resolver_channel_close(resolver);
    list_each (node, &resolver->lookups) {
        struct resolver_lookup *lookup = list_entry(node, struct resolver_lookup, node);
        if (!lookup->is_answered) {
            lookup->result = RM_ERR_CANCELLED;
            deferred_schedule(resolver->loop, &lookup->answer);
        }
    }
    resolver_free_if_done(resolver);
}

static struct resolver_lookup *lookup_new(struct resolver *resolver, uint16_t port,
                                          resolver_fn on_answer, void *context)
{
    struct resolver_lookup *lookup = rm_calloc(1, sizeof(*lookup));
    if (lookup == NULL) {
        return NULL;
    }
    lookup->resolver = resolver;
    lookup->port = port;
    lookup->on_answer = on_answer;
    lookup->context = context;
    timer_init(&lookup->deadline, resolver->loop, lookup_on_deadline, lookup);
    deferred_init(&lookup->answer, lookup_on_answer, lookup);
    if (timer_start(&lookup->deadline, RESOLVER_TIMEOUT_MS) != RM_OK) {
        rm_free(lookup);
        return NULL;
    }
    list_append(&resolver->lookups, &lookup->node);
    return lookup;
}

static void lookup_ask_cares(struct resolver_lookup *lookup, const char *name)
{
    const struct ares_addrinfo_hints hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    resolver_channel_refresh(lookup->resolver);
    lookup->is_at_cares = true;
    lookup->resolver->asking_count++;
    ares_getaddrinfo(lookup->resolver->channel, name, NULL, &hints, lookup_on_cares, lookup);
    resolver_channel_rearm(lookup->resolver);
}

enum rm_err resolver_lookup(struct resolver *resolver, const char *name, uint16_t port,
                            resolver_fn on_answer, void *context, struct resolver_lookup **lookup)
{
    struct resolver_lookup *made = lookup_new(resolver, port, on_answer, context);
    if (made == NULL) {
        return RM_ERR_NO_MEMORY;
    }
    enum rm_err literal = resolver_answer_literal(made, name);
    if (literal == RM_OK) {
        deferred_schedule(resolver->loop, &made->answer);
    } else if (literal == RM_ERR_NOT_FOUND) {
        lookup_ask_cares(made, name);
    } else {
        resolver_cancel(made);
        return literal;
    }
    if (lookup != NULL) {
        *lookup = made;
    }
    return RM_OK;
}

void resolver_cancel(struct resolver_lookup *lookup)
{
    timer_stop(&lookup->deadline);
    deferred_cancel(&lookup->answer);
    lookup->is_answered = true;
    lookup_free_if_done(lookup);
}
