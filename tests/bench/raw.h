/*
 * The raw token: what a program does that knows nothing but PKCS#11. It is the floor that the
 * other ways are compared with. Everything here ends the program when it fails.
 */
#ifndef BENCH_RAW_H
#define BENCH_RAW_H

#include <p11-kit/pkcs11.h>
#include <stddef.h>
#include <stdint.h>

struct raw {
    CK_FUNCTION_LIST *p11;
    CK_SLOT_ID slot;
    CK_SESSION_HANDLE session;
};

/* Loads and initialises the module, finds the token by its label, opens a session and logs in. */
struct raw raw_open(const char *module, const char *token, const char *pin, int read_write);

/* One search by class and label, as small as it can be. */
CK_OBJECT_HANDLE raw_find(const struct raw *r, const char *label);

/* What a key needs: the private object by its label, its CKA_ID, the public object by that, its
 * point. Returns the private object. */
CK_OBJECT_HANDLE raw_find_pair(const struct raw *r, const char *label);

/* One signature over a SHA-256 digest: RSA with its DigestInfo, or ECDSA. */
void raw_sign(const struct raw *r, CK_OBJECT_HANDLE key, int rsa, const uint8_t digest[32]);

/* A session object with a copy of the key; it lives as long as the session. */
CK_OBJECT_HANDLE raw_copy(const struct raw *r, CK_OBJECT_HANDLE key);

/* Reads kind, id and label of every key, in one call for each; returns how many there are. */
long raw_list(const struct raw *r);

/* One more session on the same token. */
struct raw raw_another_session(const struct raw *r);

/* Generates P-256 key pairs named k-<first>, ..., k-<last - 1>, or one RSA-2048 pair. */
void raw_generate_ec(const struct raw *r, long first, long last);
void raw_generate_rsa(const struct raw *r, const char *label);

_Noreturn void die(const char *what, unsigned long code);

#endif
