#include "provider/message.h"

#include "hsm/hashing.h"
#include "hsm/stream.h"

#include <openssl/crypto.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { ROOM_AT_FIRST = 512 };

/* A signature in the token, which cannot be copied there. OpenSSL finishes on a copy of the
 * operation, so the copies share it and the first one that goes on takes it. */
struct prov_stream {
    atomic_int refs;
    _Atomic(const struct prov_message *) owner; /* NULL: whoever comes first */
    struct hsm_stream *token;
};

static void stream_free(struct prov_stream *stream)
{
    if (stream != NULL && atomic_fetch_sub(&stream->refs, 1) == 1) {
        hsm_stream_free(stream->token);
        free(stream);
    }
}

DEFINE_AUTO(stream, struct prov_stream *, stream_free)

static bool claim(struct prov_message *message, struct err *err)
{
    const struct prov_message *nobody = NULL;

    return atomic_compare_exchange_strong(&message->stream->owner, &nobody, message) ||
           nobody == message ||
           err_set(err, E_USAGE,
                   "a copy of this signature went on with it: the token hashes the message, and "
                   "cannot do so twice");
}

static void wipe(struct prov_message *message)
{
    OPENSSL_clear_free(message->bytes, message->room);
    message->bytes = NULL;
    message->len = 0;
    message->room = 0;
}

void prov_message_done(struct prov_message *message)
{
    wipe(message);
    stream_free(message->stream);
    message->stream = NULL;
    message->state = PROV_MESSAGE_NONE;
}

void prov_message_begin(struct prov_message *message)
{
    prov_message_done(message);
    message->state = PROV_MESSAGE_NEW;
}

/* Room for more, wiping what was left behind. */
static bool grow(struct prov_message *message, size_t len, struct err *err)
{
    size_t room = message->room > 0 ? message->room : ROOM_AT_FIRST;

    while (room < len) {
        room *= 2;
    }
    if (room == message->room) {
        return true;
    }
    uint8_t *bytes = OPENSSL_clear_realloc(message->bytes, message->room, room);
    if (bytes == NULL) {
        return err_nomem(err);
    }
    message->bytes = bytes;
    message->room = room;
    return true;
}

static bool append(struct prov_message *message, const uint8_t *data, size_t len, struct err *err)
{
    if (!grow(message, message->len + len, err)) {
        return false;
    }
    if (len > 0) {
        memcpy(message->bytes + message->len, data, len);
    }
    message->len += len;
    return true;
}

bool prov_message_dup(const struct prov_message *from, struct prov_message *to, struct err *err)
{
    if (from->stream != NULL) {
        const struct prov_message *owner = from;
        /* What a copy took is not free again; what this one took is. */
        if (!atomic_compare_exchange_strong(&from->stream->owner, &owner, NULL) && owner != NULL) {
            return err_set(err, E_USAGE, "a copy of this signature went on with it already");
        }
        atomic_fetch_add(&from->stream->refs, 1);
        to->stream = from->stream;
    }
    to->state = from->state;
    return from->len == 0 || append(to, from->bytes, from->len, err);
}

static bool stream_update(struct prov_message *message, const uint8_t *data, size_t len,
                          struct err *err)
{
    return claim(message, err) && hsm_stream_update(message->stream->token, data, len, err);
}

static bool begin_stream(struct prov_message *message, struct prov_key *key,
                         const struct hsm_sign *how, struct err *err)
{
    const struct hsm_pin pin = prov_key_pin(key);
    AUTO(stream) struct prov_stream *stream = calloc(1, sizeof(*stream));

    if (stream == NULL) {
        return err_nomem(err);
    }
    atomic_init(&stream->refs, 1);
    atomic_init(&stream->owner, message);
    if (!hsm_stream_begin(&key->hsm, how, &pin, &stream->token, err)) {
        return false;
    }
    message->stream = TAKE(stream);
    message->state = PROV_MESSAGE_STREAMED;
    return message->len == 0 || stream_update(message, message->bytes, message->len, err);
}

/* The message is too long to be kept: now it has to be decided. */
static bool overflow(struct prov_message *message, struct prov_key *key, const struct hsm_sign *how,
                     const uint8_t *data, size_t len, struct err *err)
{
    bool ok = true;

    message->state = PROV_MESSAGE_NONE;
    if (how != NULL && hsm_hashing_is_tokens(&key->hsm, how)) {
        ok = begin_stream(message, key, how, err) && stream_update(message, data, len, err);
    }
    wipe(message);
    return ok;
}

bool prov_message_add(struct prov_message *message, struct prov_key *key,
                      const struct hsm_sign *how, const uint8_t *data, size_t len, struct err *err)
{
    if (message->state == PROV_MESSAGE_NEW) {
        bool may_be_wanted = how != NULL && hsm_hashing_of(&key->hsm, how) != HSM_HASHING_OURS;
        message->state = may_be_wanted ? PROV_MESSAGE_KEPT : PROV_MESSAGE_NONE;
    }
    switch (message->state) {
    case PROV_MESSAGE_STREAMED:
        return stream_update(message, data, len, err);
    case PROV_MESSAGE_KEPT:
        return len <= PROV_MESSAGE_MAX - message->len ? append(message, data, len, err)
                                                      : overflow(message, key, how, data, len, err);
    case PROV_MESSAGE_NEW:
    case PROV_MESSAGE_NONE:
        break;
    }
    return true;
}

bool prov_message_sign(struct prov_message *message, struct prov_key *key,
                       const struct hsm_sign *how, uint8_t *out, size_t *out_len, struct err *err)
{
    const struct hsm_pin pin = prov_key_pin(key);
    bool ok =
        message->stream != NULL
            ? claim(message, err) && hsm_stream_final(message->stream->token, out, out_len, err)
            : hsm_sign(&key->hsm, how, &pin, message->bytes, message->len, out, out_len, err);

    prov_message_done(message);
    return ok;
}
