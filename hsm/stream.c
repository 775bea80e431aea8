#include "hsm/stream.h"

#include "hsm/op_impl.h"
#include "hsm/revive.h"

#include <stdlib.h>

struct hsm_stream {
    struct hsm_key *key;
    struct hsm_use use;
    bool active; /* there is an operation in the session */
};

bool hsm_stream_begin(struct hsm_key *key, const struct hsm_sign *how, const struct hsm_pin *pin,
                      struct hsm_stream **out, struct err *err)
{
    AUTO(hsm_stream) struct hsm_stream *stream = calloc(1, sizeof(*stream));
    struct hsm_sign_operation sign;

    if (stream == NULL) {
        return err_nomem(err);
    }
    stream->key = key;
    if (!hsm_sign_prepare(key, how, &sign, err) ||
        !hsm_op_start(key, &sign.operation, pin, &stream->use, err)) {
        return false;
    }
    stream->active = true;
    *out = TAKE(stream);
    return true;
}

/* In a forked child, and after a restart, the session and what was hashed in it are nobody's. */
static bool is_alive(const struct hsm_stream *stream, struct err *err)
{
    const struct hsm_key *key = stream->key;

    if (stream->active && !hsm_token_has_changed(key->token, stream->use.session.epoch)) {
        return true;
    }
    return err_set(err, E_TOKEN, "key '%s' on %s: the signature ended before its message did%s",
                   key->label, hsm_token_name(&key->token->info),
                   stream->active ? ", because the token was started anew or this is a forked child"
                                  : "");
}

static bool ended(struct hsm_stream *stream, CK_RV rv, const char *what, struct err *err)
{
    stream->active = false;
    hsm_op_settle(stream->key, &stream->use, rv);
    return hsm_op_failed(stream->key, rv, what, err);
}

bool hsm_stream_update(struct hsm_stream *stream, const uint8_t *in, size_t in_len, struct err *err)
{
    if (!is_alive(stream, err)) {
        return false;
    }
    CK_RV rv = ck_sign_update(hsm_session_cryptoki(&stream->use.session),
                              stream->use.session.handle, in, in_len);
    return rv == CKR_OK || ended(stream, rv, "C_SignUpdate", err);
}

bool hsm_stream_final(struct hsm_stream *stream, uint8_t *out, size_t *out_len, struct err *err)
{
    if (!is_alive(stream, err)) {
        return false;
    }
    CK_RV rv = ck_sign_final(hsm_session_cryptoki(&stream->use.session), stream->use.session.handle,
                             out, out_len);
    if (rv != CKR_OK) {
        return ended(stream, rv, "C_SignFinal", err);
    }
    stream->active = false;
    hsm_session_give(&stream->use.session);
    return true;
}

void hsm_stream_free(struct hsm_stream *stream)
{
    if (stream == NULL) {
        return;
    }
    if (!stream->use.session.held) {
        free(stream);
        return;
    }
    /* Only the end of the session ends the operation before PKCS#11 3.0. A session that this
     * process has inherited, or that is gone, is left alone. */
    if (hsm_token_is_live(stream->key->token)) {
        hsm_session_replace(&stream->use.session);
    }
    free(stream);
}
