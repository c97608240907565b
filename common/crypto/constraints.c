// SPDX-License-Identifier: GPL-3.0-or-later
#include "crypto/constraints_internal.h"

#include <string.h>
#include <strings.h>

#include "crypto/der_internal.h"

// A name or a constraint: bytes of one form.
struct name {
    int form;         // ASN_*_TYPE
    const char *text; // borrowed
    size_t length;    // of text
};

enum match {
    MATCH_NO,
    MATCH_YES,
    MATCH_UNKNOWN, // not judged here: denies, whichever list the constraint stands in
};

static bool text_equal(const char *a, const char *b, size_t length)
{
    return strncasecmp(a, b, length) == 0;
}

static bool text_ends_with(const struct name *name, const char *end, size_t length)
{
    return name->length >= length && text_equal(name->text + name->length - length, end, length);
}

// "example.org" covers itself and what lies below; ".example.org" only what lies below.
static enum match match_dns(const struct name *name, const struct name *base, bool is_exclusion)
{
    if (base->length == 0) {
        return MATCH_YES;
    }
    if (is_exclusion && memchr(name->text, '*', name->length) != NULL) {
        return MATCH_UNKNOWN; // a wildcard may reach into what is excluded
    }
    if (!text_ends_with(name, base->text, base->length)) {
        return MATCH_NO;
    }
    bool is_equal = name->length == base->length;
    if (base->text[0] == '.') {
        return is_equal ? MATCH_NO : MATCH_YES;
    }
    return is_equal || name->text[name->length - base->length - 1] == '.' ? MATCH_YES : MATCH_NO;
}

// The host of "scheme://host/path"; false when there is none or it has a user, a port or an address
// literal, which no SPIFFE ID has.
static bool uri_host(const struct name *uri, struct name *host)
{
    const char *end = uri->text + uri->length;
    const char *start = memmem(uri->text, uri->length, "://", 3);
    if (start == NULL) {
        return false;
    }
    start += 3;
    const char *at = start;
    while (at < end && strchr("/?#", *at) == NULL) {
        if (strchr("@:[]", *at) != NULL) {
            return false;
        }
        at++;
    }
    *host = (struct name){.form = ASN_URI_TYPE, .text = start, .length = (size_t)(at - start)};
    return host->length > 0;
}

// "example.org" is exactly that host; ".example.org" what lies below.
static enum match match_uri(const struct name *uri, const struct name *base)
{
    struct name host;
    if (base->length == 0 || !uri_host(uri, &host)) {
        return MATCH_UNKNOWN;
    }
    if (base->text[0] == '.') {
        return text_ends_with(&host, base->text, base->length) ? MATCH_YES : MATCH_NO;
    }
    return host.length == base->length && text_equal(host.text, base->text, base->length)
               ? MATCH_YES
               : MATCH_NO;
}

// Address, then mask of the same length.
static enum match match_ip(const struct name *address, const struct name *base)
{
    if (base->length != address->length * 2) {
        return MATCH_NO;
    }
    for (size_t i = 0; i < address->length; i++) {
        if (((address->text[i] ^ base->text[i]) & base->text[address->length + i]) != 0) {
            return MATCH_NO;
        }
    }
    return MATCH_YES;
}

// Bytes are compared, not case-folded strings. That is strict for what is permitted; for what is
// excluded it would let other spellings through, so that is not judged.
static enum match match_directory(const struct name *name, const struct name *base,
                                  bool is_exclusion)
{
    if (is_exclusion) {
        return MATCH_UNKNOWN;
    }
    return name->length >= base->length && memcmp(name->text, base->text, base->length) == 0
               ? MATCH_YES
               : MATCH_NO;
}

static enum match match(const struct name *name, const struct name *base, bool is_exclusion)
{
    switch (name->form) {
    case ASN_DNS_TYPE:
        return match_dns(name, base, is_exclusion);
    case ASN_URI_TYPE:
        return match_uri(name, base);
    case ASN_IP_TYPE:
        return match_ip(name, base);
    case ASN_DIR_TYPE:
        return match_directory(name, base, is_exclusion);
    default:
        return MATCH_UNKNOWN;
    }
}

static bool name_is_excluded(const struct name *name, const Base_entry *excluded)
{
    for (; excluded != NULL; excluded = excluded->next) {
        struct name base = {excluded->type, excluded->name, (size_t)excluded->nameSz};
        if (base.form == name->form && match(name, &base, true) != MATCH_NO) {
            return true;
        }
    }
    return false;
}

// Permitted is what one of the constraints of its form covers, and every name of a form that no
// constraint is about.
static bool name_is_permitted(const struct name *name, const Base_entry *permitted)
{
    bool is_constrained = false;
    for (; permitted != NULL; permitted = permitted->next) {
        struct name base = {permitted->type, permitted->name, (size_t)permitted->nameSz};
        if (base.form != name->form) {
            continue;
        }
        is_constrained = true;
        if (match(name, &base, false) == MATCH_YES) {
            return true;
        }
    }
    return !is_constrained;
}

static bool name_passes(const struct name *name, const DecodedCert *authority)
{
    return !name_is_excluded(name, authority->excludedNames) &&
           name_is_permitted(name, authority->permittedNames);
}

static bool names_pass(const DNS_entry *entry, int form, const DecodedCert *authority)
{
    for (; entry != NULL; entry = entry->next) {
        struct name name = {form != 0 ? form : entry->type, entry->name, (size_t)entry->len};
        if (!name_passes(&name, authority)) {
            return false;
        }
    }
    return true;
}

// The subject's content, without the tag and length that the constraint's form lacks too.
static bool subject_passes(const struct x509 *subject, const DecodedCert *authority)
{
    const struct der *whole = &subject->pieces.subject;
    struct der_item item;
    if (!der_only(whole->bytes, whole->length, DER_SEQUENCE, &item)) {
        return false;
    }
    struct name name = {ASN_DIR_TYPE, (const char *)item.body.bytes, item.body.length};
    return name.length == 0 || name_passes(&name, authority);
}

bool constraints_permit(const struct x509 *authority, const struct x509 *subject)
{
    const DecodedCert *above = &authority->decoded;
    const DecodedCert *below = &subject->decoded;
    if (above->extNameConstraintHasUnsupported) {
        return false;
    }
    if (above->permittedNames == NULL && above->excludedNames == NULL) {
        return true;
    }
    return names_pass(below->altNames, 0, above) &&
           names_pass(below->altEmailNames, ASN_RFC822_TYPE, above) &&
           names_pass(below->altDirNames, ASN_DIR_TYPE, above) &&
           names_pass(below->altOtherNamesRaw, ASN_OTHER_TYPE, above) &&
           subject_passes(subject, above);
}
