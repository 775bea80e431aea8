/*
 * What a signature keeps of its message beside the digest, for the tokens that hash it themselves
 * (hsm/hashing.h). Until a key has signed a digest, a copy is kept of what may have to be sent; a
 * message that is too long for that goes to the token piece by piece, where the token's list of
 * mechanisms says that there is no other way.
 */
#ifndef PROVIDER_MESSAGE_H
#define PROVIDER_MESSAGE_H

#include "base/compiler.h"
#include "base/err.h"
#include "hsm/op.h"
#include "provider/key.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PROV_MESSAGE_MAX = 1 << 20 };

struct prov_stream;

struct prov_message {
    enum {
        PROV_MESSAGE_NONE, /* not needed */
        PROV_MESSAGE_NEW,  /* nothing came yet, and nothing is decided */
        PROV_MESSAGE_KEPT,
        PROV_MESSAGE_STREAMED,
    } state;
    uint8_t *bytes; /* owned, wiped */
    size_t len;
    size_t room;
    struct prov_stream *stream; /* shared with the copies of the operation */
};

/* Forgets all of it. */
void prov_message_done(struct prov_message *message);

/* A message begins. */
void prov_message_begin(struct prov_message *message);

/* Makes *to, which is empty, a copy. What went to the token exists once: whichever of the two goes
 * on has it, and the other one fails from then on. */
bool prov_message_dup(const struct prov_message *from, struct prov_message *to,
                      struct err *err) NODISCARD;

/* The next piece of a message. `how`: what the token would be asked for; NULL: nothing that it
 * could hash. */
bool prov_message_add(struct prov_message *message, struct prov_key *key,
                      const struct hsm_sign *how, const uint8_t *data, size_t len,
                      struct err *err) NODISCARD;

static inline bool prov_message_is_streamed(const struct prov_message *message)
{
    return message->state == PROV_MESSAGE_STREAMED;
}

/* Signs the message; it is forgotten. *out_len: room on entry, length on return. */
bool prov_message_sign(struct prov_message *message, struct prov_key *key,
                       const struct hsm_sign *how, uint8_t *out, size_t *out_len,
                       struct err *err) NODISCARD;

#endif
