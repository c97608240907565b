// SPDX-License-Identifier: GPL-3.0-or-later
//
// Two keys: one that seals for TLS_TICKET_PERIOD_S, and the one before it, which still opens for as
// long again. Keys change when they are used, so a process without handshakes needs no timer.
#include <pthread.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "tls/tls_internal.h"
#include <wolfssl/wolfcrypt/aes.h>

#define TICKET_KEY_BYTES 32 // AES-256-GCM
// NIST SP 800-38D 8.3: random nonces are good for 2^32 tickets; 10,000/s in a period are 2^25.
#define TICKET_NONCE_BYTES 12
#define TICKET_TAG_BYTES 16 // the rest of wolfSSL's 32 is zero, and checked
#define TICKET_PERIOD_MS (TLS_TICKET_PERIOD_S * 1000ULL)

// Lives in secret memory, expanded key and all.
struct ticket_key {
    Aes aes;                              // ready for use
    uint8_t name[WOLFSSL_TICKET_NAME_SZ]; // random; in the ticket, in clear
    uint64_t made_ms;                     // monotonic
};

struct tls_ticket_keys {
    pthread_mutex_t lock;  // guards all below but ref_count; held for a microsecond
    struct secret current; // struct ticket_key; empty before the first ticket
    struct secret before;  // the same; empty when there is none
    uint32_t ref_count;    // atomic
};

static struct ticket_key *key_of(const struct secret *secret)
{
    return (struct ticket_key *)(void *)secret->bytes;
}

static void key_drop(struct secret *secret)
{
    if (secret->bytes != NULL) {
        wc_AesFree(&key_of(secret)->aes);
        secret_free(secret);
    }
}

static bool key_fill(struct ticket_key *key)
{
    struct secret bytes = {0};
    if (random_bytes(key->name, sizeof(key->name)) != RM_OK ||
        secret_new(TICKET_KEY_BYTES, &bytes) != RM_OK) {
        return false;
    }
    key->made_ms = clock_mono_ms();
    bool is_made = random_bytes(bytes.bytes, TICKET_KEY_BYTES) == RM_OK &&
                   wc_AesInit(&key->aes, NULL, INVALID_DEVID) == 0 &&
                   wc_AesGcmSetKey(&key->aes, bytes.bytes, TICKET_KEY_BYTES) == 0;
    secret_free(&bytes);
    return is_made;
}

static bool key_is_older(const struct secret *secret, uint64_t age_ms)
{
    return secret->bytes != NULL && clock_mono_ms() - key_of(secret)->made_ms >= age_ms;
}

// Makes the first key, or the next one when its time has come.
static bool keys_rotate(struct tls_ticket_keys *keys)
{
    if (keys->current.bytes != NULL && !key_is_older(&keys->current, TICKET_PERIOD_MS)) {
        return true;
    }
    struct secret next = {0};
    if (secret_new(sizeof(struct ticket_key), &next) != RM_OK) {
        return false;
    }
    if (!key_fill(key_of(&next))) {
        secret_free(&next);
        return false;
    }
    key_drop(&keys->before);
    keys->before = keys->current;
    keys->current = next;
    return true;
}

static void keys_expire(struct tls_ticket_keys *keys)
{
    if (key_is_older(&keys->before, 2 * TICKET_PERIOD_MS)) {
        key_drop(&keys->before);
    }
    if (key_is_older(&keys->current, 2 * TICKET_PERIOD_MS)) {
        key_drop(&keys->current);
    }
}

static const struct ticket_key *keys_find(const struct tls_ticket_keys *keys,
                                          const uint8_t name[WOLFSSL_TICKET_NAME_SZ])
{
    const struct secret *both[] = {&keys->current, &keys->before};
    for (size_t i = 0; i < 2; i++) {
        if (both[i]->bytes != NULL &&
            memcmp(key_of(both[i])->name, name, WOLFSSL_TICKET_NAME_SZ) == 0) {
            return key_of(both[i]);
        }
    }
    return NULL;
}

// --- Sealing -------------------------------------------------------------------------------------

struct ticket_head {
    uint8_t name[WOLFSSL_TICKET_NAME_SZ];
    uint8_t iv[WOLFSSL_TICKET_IV_SZ];
    struct tls_ticket_binding binding;
};

static struct ticket_head head_of(const uint8_t name[WOLFSSL_TICKET_NAME_SZ],
                                  const uint8_t iv[WOLFSSL_TICKET_IV_SZ],
                                  const struct tls_ticket_binding *binding)
{
    struct ticket_head head = {.binding = *binding};
    memcpy(head.name, name, sizeof(head.name));
    memcpy(head.iv, iv, sizeof(head.iv));
    return head;
}

bool tls_ticket_keys_seal(struct tls_ticket_keys *keys, const struct tls_ticket_binding *binding,
                          uint8_t name[WOLFSSL_TICKET_NAME_SZ], uint8_t iv[WOLFSSL_TICKET_IV_SZ],
                          uint8_t mac[WOLFSSL_TICKET_MAC_SZ], uint8_t *bytes, size_t length)
{
    bool is_sealed = false;
    memset(iv, 0, WOLFSSL_TICKET_IV_SZ);
    memset(mac, 0, WOLFSSL_TICKET_MAC_SZ);
    if (random_bytes(iv, TICKET_NONCE_BYTES) != RM_OK) {
        return false;
    }
    pthread_mutex_lock(&keys->lock);
    if (keys_rotate(keys)) {
        struct ticket_key *key = key_of(&keys->current);
        memcpy(name, key->name, WOLFSSL_TICKET_NAME_SZ);
        struct ticket_head head = head_of(name, iv, binding);
        is_sealed =
            wc_AesGcmEncrypt(&key->aes, bytes, bytes, (word32)length, iv, TICKET_NONCE_BYTES, mac,
                             TICKET_TAG_BYTES, (const uint8_t *)&head, sizeof(head)) == 0;
    }
    pthread_mutex_unlock(&keys->lock);
    return is_sealed;
}

bool tls_ticket_keys_open(struct tls_ticket_keys *keys, const struct tls_ticket_binding *binding,
                          const uint8_t name[WOLFSSL_TICKET_NAME_SZ],
                          const uint8_t iv[WOLFSSL_TICKET_IV_SZ],
                          const uint8_t mac[WOLFSSL_TICKET_MAC_SZ], uint8_t *bytes, size_t length)
{
    static const uint8_t zeros[WOLFSSL_TICKET_MAC_SZ - TICKET_TAG_BYTES];
    bool is_open = false;
    if (memcmp(mac + TICKET_TAG_BYTES, zeros, sizeof(zeros)) != 0) {
        return false;
    }
    struct ticket_head head = head_of(name, iv, binding);
    pthread_mutex_lock(&keys->lock);
    keys_expire(keys);
    const struct ticket_key *key = keys_find(keys, name);
    if (key != NULL) {
        // wolfSSL's parameter is not const; it only reads the expanded key.
        is_open = wc_AesGcmDecrypt((Aes *)(uintptr_t)&key->aes, bytes, bytes, (word32)length, iv,
                                   TICKET_NONCE_BYTES, mac, TICKET_TAG_BYTES,
                                   (const uint8_t *)&head, sizeof(head)) == 0;
    }
    pthread_mutex_unlock(&keys->lock);
    return is_open;
}

// --- Life ----------------------------------------------------------------------------------------

struct tls_ticket_keys *tls_ticket_keys_new(void)
{
    struct tls_ticket_keys *keys = rm_calloc(1, sizeof(*keys));
    if (keys == NULL) {
        return NULL;
    }
    if (pthread_mutex_init(&keys->lock, NULL) != 0) {
        rm_free(keys);
        return NULL;
    }
    keys->ref_count = 1;
    return keys;
}

struct tls_ticket_keys *tls_ticket_keys_ref(struct tls_ticket_keys *keys)
{
    __atomic_add_fetch(&keys->ref_count, 1, __ATOMIC_RELAXED);
    return keys;
}

void tls_ticket_keys_unref(struct tls_ticket_keys *keys)
{
    if (keys == NULL || __atomic_sub_fetch(&keys->ref_count, 1, __ATOMIC_ACQ_REL) > 0) {
        return;
    }
    key_drop(&keys->current);
    key_drop(&keys->before);
    pthread_mutex_destroy(&keys->lock);
    rm_free(keys);
}
