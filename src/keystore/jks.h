/*
 * Java's own keystore format (JKS), read without Java. Pure: bytes in, spans of them out.
 *
 *     u4 magic FEEDFEED, u4 version (1, 2), u4 number of entries
 *     entry: u4 kind (1 key, 2 trusted certificate), text alias, u8 time,
 *            key: u4 length, EncryptedPrivateKeyInfo; u4 number of certificates
 *            certificate: version 2: text type; u4 length, DER
 *     SHA-1 of: password in UTF-16BE, "Mighty Aphrodite", everything before
 *
 * A text has two bytes of length and Java's "modified UTF-8". Everything is big-endian.
 */
#ifndef KEYSTORE_JKS_H
#define KEYSTORE_JKS_H

#include "base/cleanup.h"
#include "base/compiler.h"
#include "base/err.h"
#include "base/secret.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { JKS_ENTRIES_MAX = 4096, JKS_CHAIN_MAX = 16 };

/* Bytes of the file; borrowed. */
struct jks_span {
    const uint8_t *data;
    size_t len;
};

struct jks_entry {
    bool is_key; /* else a trusted certificate */
    struct jks_span alias;
    struct jks_span key;                  /* EncryptedPrivateKeyInfo (RFC 5208), of a key */
    struct jks_span certs[JKS_CHAIN_MAX]; /* of a key: its own first */
    size_t cert_count;
};

struct jks {
    struct jks_entry *entries; /* owned */
    size_t count;
    struct jks_span body;   /* what the digest is of */
    struct jks_span digest; /* 20 bytes */
};

bool jks_is(const uint8_t *data, size_t len);
/* JCEKS: its sibling with other encryption, which is not read here. */
bool jks_is_jceks(const uint8_t *data, size_t len);

/* Takes a file apart; nothing is left over. The bytes must outlive *out. E_KEYSTORE. */
bool jks_parse(const uint8_t *data, size_t len, struct jks *out, struct err *err) NODISCARD;
void jks_done(struct jks *jks);

/* Whether the digest over the file is that of this password. E_KEYSTORE: the password is no UTF-8.
 */
bool jks_check(const struct jks *jks, const struct secret *password, bool *fits,
               struct err *err) NODISCARD;

/*
 * Decrypts a key's EncryptedPrivateKeyInfo into a PrivateKeyInfo (DER). *fits false: another
 * password. E_KEYSTORE: protected in another way than Sun's own (1.3.6.1.4.1.42.2.17.1.1).
 */
bool jks_unlock(const struct jks_span *key, const struct secret *password, bool *fits,
                struct secret *out, struct err *err) NODISCARD;

DEFINE_AUTO_DONE(jks, struct jks, jks_done)

#endif
