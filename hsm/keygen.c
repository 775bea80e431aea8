#include "hsm/keygen.h"

#include "base/str.h"
#include "hsm/ckr.h"
#include "hsm/object.h"

#include <openssl/rand.h>
#include <stdio.h>
#include <string.h>

bool hsm_new_id(struct hsm_id *id, struct err *err)
{
    memset(id, 0, sizeof(*id));
    if (RAND_bytes(id->data, HSM_NEW_ID_BYTES) != 1) {
        return err_set_ssl(err, E_INTERNAL, "no random bytes for a key id");
    }
    id->len = HSM_NEW_ID_BYTES;
    id->set = true;
    return true;
}

/* Nothing on the token may carry the id, and no private key the label. */
static bool is_unused(struct hsm_session *session, const struct hsm_id *id, const char *label,
                      struct err *err)
{
    struct attrs by_id = ATTRS_INIT;
    struct attrs by_label = ATTRS_INIT;
    AUTO(hsm_handles) struct hsm_handles same_id = HSM_HANDLES_INIT;
    AUTO(hsm_handles) struct hsm_handles same_label = HSM_HANDLES_INIT;

    attrs_add_bytes(&by_id, CKA_ID, id->data, id->len);
    attrs_add_ulong(&by_label, CKA_CLASS, CKO_PRIVATE_KEY);
    attrs_add_string(&by_label, CKA_LABEL, label);
    if (!hsm_find(session, &by_id, &same_id, err) ||
        !hsm_find(session, &by_label, &same_label, err)) {
        return false;
    }
    if (same_id.count > 0) {
        return err_set(err, E_OBJECT_EXISTS,
                       "%s has an object with that id already; ids are never "
                       "used twice",
                       hsm_token_name(&session->token->info));
    }
    if (same_label.count > 0) {
        return err_set(err, E_OBJECT_EXISTS,
                       "%s has a private key labelled '%s' already; choose "
                       "another label",
                       hsm_token_name(&session->token->info), label);
    }
    return true;
}

static CK_RV generate(struct hsm_session *session, const struct hsm_policy *policy,
                      const struct hsm_id *id, const char *label)
{
    struct attrs private_template = ATTRS_INIT;
    struct attrs public_template = ATTRS_INIT;
    CK_OBJECT_HANDLE handles[2] = {0, 0};
    CK_MECHANISM mechanism = {.mechanism = policy->spec.type == HSM_KEY_RSA
                                               ? CKM_RSA_PKCS_KEY_PAIR_GEN
                                               : CKM_EC_KEY_PAIR_GEN};

    hsm_policy_public_template(policy, id, label, &public_template);
    hsm_policy_private_template(policy, id, label, &private_template);
    return ck_generate_key_pair(hsm_session_cryptoki(session), session->handle, &mechanism,
                                public_template.list, public_template.count, private_template.list,
                                private_template.count, &handles[0], &handles[1]);
}

/* Destroys what carries our id. *left counts the objects that would not go. */
static bool destroy_ours(struct hsm_token *token, const struct hsm_id *id, size_t *destroyed,
                         size_t *left, struct err *err)
{
    struct attrs template = ATTRS_INIT;
    AUTO(hsm_handles) struct hsm_handles found = HSM_HANDLES_INIT;
    AUTO(hsm_session) struct hsm_session session = HSM_SESSION_INIT;
    struct err last = ERR_INIT;

    attrs_add_bytes(&template, CKA_ID, id->data, id->len);
    if (!hsm_session_take_fresh(token, true, &session, err) ||
        !hsm_find(&session, &template, &found, err)) {
        return false;
    }
    for (size_t i = 0; i < found.count; i++) {
        if (hsm_destroy(&session, found.list[i], &last)) {
            (*destroyed)++;
        } else {
            (*left)++;
        }
    }
    return true;
}

/* Ends a failed generation: cleans up and says what became of the key. err holds the cause. */
static bool undo(struct hsm_token *token, const struct hsm_id *id, struct err *err)
{
    AUTO(buf) struct buf hex = BUF_INIT(2 * HSM_ID_MAX);
    struct err cleanup = ERR_INIT;
    size_t destroyed = 0;
    size_t left = 0;
    size_t used = strlen(err->msg);
    char *end = err->msg + used;
    size_t room = sizeof(err->msg) - used;

    str_add_hex(&hex, id->data, id->len, '\0');
    bool looked = destroy_ours(token, id, &destroyed, &left, &cleanup);
    if (!looked) {
        (void)snprintf(end, room,
                       "; whether a key was left behind could not be found out: it would "
                       "have id %s",
                       buf_str(&hex));
    } else if (left > 0) {
        (void)snprintf(end, room,
                       "; what was made could not be destroyed and is still on the "
                       "token with id %s",
                       buf_str(&hex));
    } else if (destroyed > 0) {
        (void)snprintf(end, room, "; the key that had been made (id %s) was destroyed again",
                       buf_str(&hex));
    }
    return false;
}

bool hsm_key_verdict(struct hsm_session *session, const struct hsm_key *key,
                     const struct hsm_policy *policy, struct hsm_verdict *verdict, struct err *err)
{
    AUTO(attr_values) struct attr_values values = {.count = 0};
    size_t count = 0;
    const CK_ATTRIBUTE_TYPE *types = hsm_policy_attributes(&count);

    if (!hsm_read(session, key->handle, types, count, &values, err)) {
        return false;
    }
    hsm_policy_check(policy, &key->spec, &values, verdict);
    return true;
}

/* In a session that did not take part: what the next process will see, as far as one process can
 * tell. */
static bool read_back(struct hsm_token *token, const struct hsm_policy *policy,
                      const struct hsm_id *id, const char *label, struct hsm_key *key,
                      struct hsm_verdict *verdict, struct err *err)
{
    AUTO(hsm_session) struct hsm_session session = HSM_SESSION_INIT;
    struct hsm_uri uri = {.id = *id};

    if (!hsm_session_take_fresh(token, false, &session, err)) {
        return false;
    }
    if (!hsm_key_find(&session, &uri, CKO_PRIVATE_KEY, key, err) ||
        !hsm_key_verdict(&session, key, policy, verdict, err)) {
        return err_wrap(err, "reading the new key back");
    }
    if (!verdict->ok) {
        return err_set(err, E_POLICY, "%s did not make the key that was asked for: %s",
                       hsm_token_name(&token->info), verdict->violations);
    }
    if (!str_equal(key->label, label)) {
        return err_set(err, E_POLICY, "%s gave the new key another label than asked for",
                       hsm_token_name(&token->info));
    }
    if (!key->public.known) {
        return err_set(err, E_POLICY, "%s shows no public half of the new key",
                       hsm_token_name(&token->info));
    }
    return true;
}

bool hsm_keygen(struct hsm_token *token, const struct hsm_policy *policy, const struct hsm_id *id,
                const char *label, struct hsm_key *key, struct hsm_verdict *verdict,
                struct err *err)
{
    AUTO(hsm_session) struct hsm_session session = HSM_SESSION_INIT;

    memset(key, 0, sizeof(*key));
    if (token->info.write_protected) {
        return err_set(err, E_TOKEN, "%s is write-protected", hsm_token_name(&token->info));
    }
    if (!hsm_session_take(token, true, &session, err) || !is_unused(&session, id, label, err)) {
        return false;
    }
    CK_RV rv = generate(&session, policy, id, label);
    if (rv != CKR_OK) {
        (void)ckr_set(err, rv, "C_GenerateKeyPair");
        (void)err_wrap(err, "%s cannot make a %s key", hsm_token_name(&token->info),
                       hsm_key_spec_name(&policy->spec));
        return undo(token, id, err); /* some tokens report a failure and keep the key */
    }
    hsm_session_give(&session);
    if (!read_back(token, policy, id, label, key, verdict, err)) {
        hsm_key_done(key);
        return undo(token, id, err);
    }
    return true;
}
