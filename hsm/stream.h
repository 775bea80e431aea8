/*
 * A signature of a message that comes in pieces and that the token hashes (hsm/hashing.h). It holds
 * a session from its beginning to its end. A token that was restarted or logged out is recovered at
 * the beginning alone: what it has hashed is gone with it.
 */
#ifndef HSM_STREAM_H
#define HSM_STREAM_H

#include "base/cleanup.h"
#include "base/compiler.h"
#include "base/err.h"
#include "hsm/op.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct hsm_stream;

/* Begins. The key has to outlive it; hsm_stream_free() it. Errors as for hsm_sign(). */
bool hsm_stream_begin(struct hsm_key *key, const struct hsm_sign *how, const struct hsm_pin *pin,
                      struct hsm_stream **out, struct err *err) NODISCARD;

/* One more piece. After a failure the signature is over. E_TOKEN. */
bool hsm_stream_update(struct hsm_stream *stream, const uint8_t *in, size_t in_len,
                       struct err *err) NODISCARD;

/* The signature, after which nothing can follow. *out_len: room on entry, length on return.
 * E_TOKEN. */
bool hsm_stream_final(struct hsm_stream *stream, uint8_t *out, size_t *out_len,
                      struct err *err) NODISCARD;

/* Frees it; one that is not at its end is given up, together with its session. */
void hsm_stream_free(struct hsm_stream *stream);

DEFINE_AUTO(hsm_stream, struct hsm_stream *, hsm_stream_free)

#endif
