// SPDX-License-Identifier: GPL-3.0-or-later
#include "worker/listing.h"

#include <string.h>

#include "base/alloc.h"

static enum rm_err dup_filter(const char *text, char **out)
{
    *out = NULL;
    if (text == NULL || text[0] == '\0') {
        return RM_OK;
    }
    *out = rm_strdup(text);
    return *out != NULL ? RM_OK : RM_ERR_NO_MEMORY;
}

enum rm_err listing_init(struct listing *listing, const char *service, const char *peer_identity)
{
    memset(listing, 0, sizeof *listing);
    enum rm_err result = dup_filter(service, &listing->service);
    if (result == RM_OK) {
        result = dup_filter(peer_identity, &listing->peer_identity);
    }
    if (result != RM_OK) {
        listing_deinit(listing);
    }
    return result;
}

static void clear_page(struct listing *listing)
{
    for (size_t i = 0; i < listing->count; i++) {
        rm_free(listing->records[i].service);
        tls_identity_unref(listing->records[i].identity);
        peer_unref(listing->records[i].peer);
    }
    listing->count = 0;
}

void listing_deinit(struct listing *listing)
{
    clear_page(listing);
    rm_free(listing->service);
    rm_free(listing->peer_identity);
    listing->service = NULL;
    listing->peer_identity = NULL;
}

void listing_rewind(struct listing *listing)
{
    clear_page(listing);
    listing->after = 0;
    listing->has_more = false;
}

static bool is_wanted(const struct listing *listing, const struct connection *connection)
{
    if (listing->service != NULL &&
        (connection->service == NULL || strcmp(connection->service, listing->service) != 0)) {
        return false;
    }
    return listing->peer_identity == NULL ||
           (connection->peer != NULL &&
            strcmp(connection->peer->spiffe_id, listing->peer_identity) == 0);
}

static enum rm_err record(const struct connection *connection, struct listing_record *out)
{
    struct tls_identity *identity =
        snapshot_own(connection->worker->snapshot, connection->own_index).identity;
    char *service = connection->service != NULL ? rm_strdup(connection->service) : NULL;
    if (service == NULL && connection->service != NULL) {
        return RM_ERR_NO_MEMORY;
    }
    *out = (struct listing_record){
        .number = connection->number,
        .direction = connection->direction,
        .service = service,
        .port = connection->port,
        .identity = identity != NULL ? tls_identity_ref(identity) : NULL,
        .peer = connection->peer != NULL ? peer_ref(connection->peer) : NULL,
        .application = connection->application,
        .remote = connection->remote,
        .progress = connection->progress(connection),
        .age_ms = loop_now_ms(connection->worker->loop) - connection->started_ms,
        .suite = connection->suite,
        .group = connection->group,
        .is_resumed = connection->is_resumed,
        .handshake_ms = connection->handshake_ms,
    };
    memcpy(out->id, connection->id, sizeof out->id);
    return RM_OK;
}

enum rm_err listing_fill(struct listing *listing, const struct worker *worker)
{
    clear_page(listing);
    listing->has_more = false;
    list_each (node, &worker->connections) {
        const struct connection *connection = list_entry(node, struct connection, node);
        if (connection->number <= listing->after || !is_wanted(listing, connection)) {
            continue;
        }
        if (listing->count == LISTING_PAGE) {
            listing->has_more = true;
            break;
        }
        RM_TRY(record(connection, &listing->records[listing->count]));
        listing->count++;
        listing->after = connection->number;
    }
    return RM_OK;
}
