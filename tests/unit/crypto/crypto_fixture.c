// SPDX-License-Identifier: GPL-3.0-or-later
#include "crypto_fixture.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "crypto/crypto.h"

#define FILE_MAX_BYTES 131072

static char folder[64];

static void fixture_require(bool is_true, const char *what)
{
    if (!is_true) {
        fprintf(stderr, "fixture: %s\n", what);
        abort();
    }
}

static void fixture_ok(enum rm_err result, const char *what)
{
    if (result != RM_OK) {
        fprintf(stderr, "fixture: %s: %s\n", what, rm_err_name(result));
        abort();
    }
}

int fixture_start(void **state)
{
    (void)state;
    struct rm_error error = {0};
    fixture_ok(crypto_init(&error), error.message);
    return 0;
}

int fixture_stop(void **state)
{
    (void)state;
    crypto_deinit();
    return 0;
}

int64_t fixture_now(void)
{
    return (int64_t)time(NULL);
}

struct private_key *fixture_key(void)
{
    struct private_key *key = NULL;
    fixture_ok(key_generate(&key), "key_generate");
    return key;
}

struct private_key *fixture_foreign_key(const char *kind)
{
    char command[256];
    struct private_key *key = NULL;
    struct rm_error error = {0};
    size_t length = 0;
    bool is_rsa = strncmp(kind, "RSA:", 4) == 0;
    snprintf(command, sizeof(command),
             "openssl genpkey -quiet -algorithm %s -pkeyopt %s%s -out k.pem", is_rsa ? "RSA" : "EC",
             is_rsa ? "rsa_keygen_bits:" : "ec_paramgen_curve:", is_rsa ? kind + 4 : kind);
    fixture_folder_open();
    fixture_require(fixture_run(command), command);
    uint8_t *pem = fixture_get("k.pem", &length);
    fixture_ok(key_parse(pem, length, &key, &error), error.message);
    rm_free(pem);
    fixture_folder_close();
    return key;
}

static void fixture_serial(uint8_t serial[ISSUE_SERIAL_BYTES])
{
    fixture_ok(random_bytes(serial, ISSUE_SERIAL_BYTES), "random_bytes");
    serial[0] = (uint8_t)((serial[0] & 0x7f) | 0x10);
}

static struct authority_request fixture_request(const char *trust_domain, const char *name)
{
    struct authority_request request = {
        .trust_domain = trust_domain,
        .common_name = name,
        .not_before_s = fixture_now() - 60,
        .not_after_s = fixture_now() + 30 * (int64_t)FIXTURE_DAY_S,
    };
    fixture_serial(request.serial);
    return request;
}

static void fixture_finish(struct fixture *fixture, bool is_ca)
{
    struct rm_error error = {0};
    fixture->view = (struct der){.bytes = fixture->der, .length = fixture->length};
    if (is_ca) {
        fixture_ok(
            issuer_new(fixture->der, fixture->length, fixture->key, &fixture->issuer, &error),
            error.message);
    }
}

struct fixture fixture_root_of(struct private_key *key, const char *trust_domain)
{
    struct fixture root = {.key = key};
    struct authority_request request = fixture_request(trust_domain, "Test root");
    fixture_ok(issue_root(key, &request, &root.der, &root.length), "issue_root");
    fixture_finish(&root, true);
    return root;
}

struct fixture fixture_root(const char *trust_domain)
{
    return fixture_root_of(fixture_key(), trust_domain);
}

struct fixture fixture_intermediate(const struct fixture *root, const char *trust_domain)
{
    struct fixture made = {.key = fixture_key()};
    struct authority_request request = fixture_request(trust_domain, "Test intermediate");
    const uint8_t *spki = NULL;
    size_t length = 0;
    key_spki(made.key, &spki, &length);
    fixture_ok(issue_intermediate(root->issuer, spki, length, &request, &made.der, &made.length),
               "issue_intermediate");
    fixture_finish(&made, true);
    return made;
}

struct fixture fixture_leaf(const struct fixture *issuer, const char *spiffe_id)
{
    struct fixture made = {.key = fixture_key()};
    struct leaf_request request = {
        .spiffe_id = spiffe_id,
        .not_before_s = fixture_now() - 60,
        .not_after_s = fixture_now() + 3600,
    };
    fixture_serial(request.serial);
    key_spki(made.key, &request.spki, &request.spki_length);
    fixture_ok(issue_leaf(issuer->issuer, &request, &made.der, &made.length), "issue_leaf");
    fixture_finish(&made, false);
    return made;
}

// The subject's Name, cut out of a certificate by walking over what stands before it.
static struct der fixture_subject(const struct fixture *fixture)
{
    struct der_item item;
    fixture_require(der_only(fixture->der, fixture->length, DER_SEQUENCE, &item), "certificate");
    struct der_reader reader = der_reader_in(&item);
    fixture_require(der_next(&reader, &item), "signed part");
    reader = der_reader_in(&item);
    for (int i = 0; i < 6; i++) {
        fixture_require(der_next(&reader, &item), "subject");
    }
    return item.whole;
}

struct fixture fixture_odd(struct profile profile, const struct fixture *signer)
{
    struct fixture made = {.key = fixture_key()};
    uint8_t serial[ISSUE_SERIAL_BYTES];
    struct der issuer = {0};
    if (profile.serial == NULL) {
        fixture_serial(serial);
        profile.serial = serial;
    }
    if (profile.not_after_s == 0) {
        profile.not_before_s = fixture_now() - 60;
        profile.not_after_s = fixture_now() + 3600;
    }
    if (profile.spki == NULL) {
        key_spki(made.key, &profile.spki, &profile.spki_length);
    }
    if (signer != NULL && profile.issuer == NULL) {
        issuer = fixture_subject(signer);
        profile.issuer = &issuer;
    }
    fixture_ok(
        profile_issue(&profile, signer != NULL ? signer->key : made.key, &made.der, &made.length),
        "profile_issue");
    fixture_finish(&made, false);
    return made;
}

void fixture_free(struct fixture *fixture)
{
    issuer_unref(fixture->issuer);
    key_unref(fixture->key);
    rm_free(fixture->der);
    *fixture = (struct fixture){0};
}

void fixture_add_root(struct trust_builder *builder, const char *trust_domain,
                      const struct fixture *root)
{
    uint8_t id[KEY_ID_BYTES];
    fixture_ok(certificate_key_id(root->der, root->length, id), "certificate_key_id");
    fixture_ok(trust_builder_add_root(builder, trust_domain, root->der, root->length, id),
               "trust_builder_add_root");
}

struct trust_snapshot *fixture_trust(const char *trust_domain, const struct fixture *root)
{
    struct trust_builder *builder = trust_builder_new();
    fixture_require(builder != NULL, "trust_builder_new");
    fixture_add_root(builder, trust_domain, root);
    struct trust_snapshot *trust = trust_builder_finish(builder);
    fixture_require(trust != NULL, "trust_builder_finish");
    return trust;
}

static void fixture_path(const char *name, char out[128])
{
    snprintf(out, 128, "%s/%s", folder, name);
}

void fixture_folder_open(void)
{
    strcpy(folder, "/tmp/remora-unit-XXXXXX");
    fixture_require(mkdtemp(folder) != NULL, "mkdtemp");
}

void fixture_folder_close(void)
{
    char path[400];
    DIR *entries = opendir(folder);
    fixture_require(entries != NULL, "opendir");
    for (struct dirent *entry = readdir(entries); entry != NULL; entry = readdir(entries)) {
        snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
        unlink(path);
    }
    closedir(entries);
    fixture_require(rmdir(folder) == 0, "rmdir");
}

void fixture_put(const char *name, const void *bytes, size_t length)
{
    char path[128];
    fixture_path(name, path);
    FILE *file = fopen(path, "wb");
    fixture_require(file != NULL && fwrite(bytes, 1, length, file) == length, path);
    fclose(file);
}

void fixture_put_pem(const char *name, const char *label, const uint8_t *der, size_t length)
{
    struct buffer text;
    buffer_init(&text, FILE_MAX_BYTES);
    fixture_ok(pem_append(&text, label, der, length), "pem_append");
    fixture_put(name, buffer_data(&text), buffer_length(&text));
    buffer_deinit(&text);
}

uint8_t *fixture_get(const char *name, size_t *length)
{
    char path[128];
    fixture_path(name, path);
    uint8_t *bytes = rm_malloc(FILE_MAX_BYTES);
    FILE *file = fopen(path, "rb");
    fixture_require(bytes != NULL && file != NULL, path);
    *length = fread(bytes, 1, FILE_MAX_BYTES, file);
    fclose(file);
    return bytes;
}

bool fixture_run(const char *command)
{
    char whole[1200];
    snprintf(whole, sizeof(whole), "cd %s && { %s ; } >output 2>&1", folder, command);
    if (system(whole) == 0) {
        return true;
    }
    snprintf(whole, sizeof(whole), "cat %s/output >&2", folder);
    (void)!system(whole);
    return false;
}

static enum rm_err fixture_on_block(void *context, const uint8_t *der, size_t length)
{
    struct fixture *made = context;
    made->der = rm_memdup(der, length);
    made->length = length;
    return made->der == NULL ? RM_ERR_NO_MEMORY : RM_OK;
}

struct fixture fixture_openssl(const char *name, const char *issuer, const char *extensions,
                               const char *options)
{
    char command[1024];
    char sign[160] = "";
    char text[1024];
    struct fixture made = {0};
    size_t length = 0;
    if (issuer != NULL) {
        snprintf(sign, sizeof(sign), "-CA %s.pem -CAkey %s.key", issuer, issuer);
    }
    snprintf(text, sizeof(text), "[req]\ndistinguished_name=name\n[name]\n[extensions]\n%s",
             extensions);
    fixture_put("config", text, strlen(text));
    snprintf(command, sizeof(command),
             "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 "
             "-subj /O=Test/CN=%s -config config -extensions extensions -keyout %s.key -out %s.pem "
             "%s %s",
             name, name, name, sign, options);
    fixture_require(fixture_run(command), command);
    snprintf(text, sizeof(text), "%s.pem", name);
    uint8_t *pem = fixture_get(text, &length);
    fixture_ok(pem_each(pem, length, fixture_on_block, &made, NULL), "pem_each");
    rm_free(pem);
    fixture_finish(&made, false);
    return made;
}
