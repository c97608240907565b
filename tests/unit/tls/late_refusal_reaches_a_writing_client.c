// SPDX-License-Identifier: GPL-3.0-or-later
//
// In TLS 1.3 the client is done before the server has judged its certificate (wolfssl.md 0.11). A
// client that only writes must still learn that it was refused, and by which alert, not merely that
// the connection broke; over real sockets, where a reset can overtake the alert.
#include "tls_fixture.h"

#include <netinet/in.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "stream/socket.h"

// A connected pair of TCP sockets.
static void tcp_pair(int out[2])
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t length = sizeof(address);
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &length), 0);
    out[0] = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(out[0], (struct sockaddr *)&address, sizeof(address)), 0);
    out[1] = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
    assert_int_equal(close(listener), 0);
    int on = 1;
    assert_int_equal(ioctl(out[0], FIONBIO, &on), 0);
}

// The client's user: writes whenever it may, never reads.
struct writer {
    struct end *client; // borrowed
    enum rm_err result; // of the last write
    bool is_over;       // a write failed
};

static void writer_on_event(void *context, unsigned events)
{
    static const uint8_t bytes[20000];
    struct writer *writer = context;
    size_t written = 0;
    (void)events;
    writer->result = stream_write_bytes(writer->client->stream, bytes, sizeof(bytes), &written);
    if (writer->result != RM_OK && writer->result != RM_ERR_WOULD_BLOCK) {
        writer->is_over = true;
        stream_want(writer->client->stream, 0);
    }
}

static bool writer_is_over(void *context)
{
    return ((struct writer *)context)->is_over;
}

static void writing_client_learns_the_alert(void **state)
{
    const struct world *world = *state;
    struct tls_context *nobody = pki_context(NULL, world->trust);
    struct pair pair = {.loop = loop_new("test")};
    struct stream *a = NULL;
    struct stream *b = NULL;
    int descriptors[2];
    tcp_pair(descriptors);
    assert_int_equal(socket_stream_new(pair.loop, descriptors[0], &a), RM_OK);
    assert_int_equal(socket_stream_new(pair.loop, descriptors[1], &b), RM_OK);
    end_connect(&pair.client, a, nobody);
    end_accept(&pair.server, b, world->server);
    struct writer writer = {.client = &pair.client};
    stream_own(pair.client.stream, writer_on_event, &writer);
    world_until(pair.loop, pair_is_done, &pair);
    assert_int_equal(pair.client.result, RM_OK);
    assert_int_equal(pair.server.result, RM_ERR_UNAUTHENTICATED);
    end_close(&pair.server, STREAM_CLOSE_ABORT);
    stream_want(pair.client.stream, STREAM_WRITE);
    world_until(pair.loop, writer_is_over, &writer);
    assert_int_equal(writer.result, RM_ERR_REFUSED_BY_PEER);
    const struct tls_failure *failure = tls_stream_failure(pair.client.stream);
    assert_string_equal(tls_alert_name(failure->alert_received), "certificate_required");
    end_close(&pair.client, STREAM_CLOSE_ABORT);
    world_end(pair.loop);
    tls_context_unref(nobody);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writing_client_learns_the_alert),
    };
    return cmocka_run_group_tests(tests, world_setup, world_teardown);
}
