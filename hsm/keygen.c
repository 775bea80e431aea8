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
                       "another label, or use that key if a run that was interrupted made it "
                       "('key show' tells what it is)",
                       hsm_token_name(&session->token->info), label);
    }
    return true;
}

/* The objects that a generation made: public, private. */
struct made {
    CK_OBJECT_HANDLE handles[2];
    bool known; /* false: the token reported a failure, and what it left behind is unknown */
};

static CK_MECHANISM_TYPE generation_mechanism(enum hsm_key_type type)
{
    return type == HSM_KEY_RSA  ? CKM_RSA_PKCS_KEY_PAIR_GEN
           : type == HSM_KEY_ED ? CKM_EC_EDWARDS_KEY_PAIR_GEN
                                : CKM_EC_KEY_PAIR_GEN;
}

static CK_RV generate_as(struct hsm_session *session, const struct hsm_policy *policy,
                         const struct hsm_key_name *name, struct made *made)
{
    struct attrs private_template = ATTRS_INIT;
    struct attrs public_template = ATTRS_INIT;
    CK_MECHANISM mechanism = {.mechanism = generation_mechanism(policy->spec.type)};

    hsm_policy_public_template(policy, name->id, name->label, &public_template);
    hsm_policy_private_template(policy, name->id, name->label, &private_template);
    CK_RV rv =
        ck_generate_key_pair(hsm_session_cryptoki(session), session->handle, &mechanism,
                             public_template.list, public_template.count, private_template.list,
                             private_template.count, &made->handles[0], &made->handles[1]);
    made->known = rv == CKR_OK;
    return rv;
}

/*
 * PKCS#11 3.0 names Edwards curves by a PrintableString, 3.1 by an OID as well, and each is refused
 * by some token.
 */
static CK_RV generate(struct hsm_session *session, const struct hsm_policy *policy,
                      const struct hsm_key_name *name, struct made *made)
{
    struct hsm_policy by_name = *policy;
    CK_RV rv = generate_as(session, policy, name, made);

    by_name.curve_by_name = true;
    if (policy->spec.type == HSM_KEY_ED &&
        (rv == CKR_ATTRIBUTE_VALUE_INVALID || rv == CKR_DOMAIN_PARAMS_INVALID ||
         rv == CKR_CURVE_NOT_SUPPORTED)) {
        return generate_as(session, &by_name, name, made);
    }
    return rv;
}

struct cleanup {
    size_t destroyed;
    size_t left;      /* would not go */
    size_t untouched; /* nobody knows who made it */
};

static void destroy_one(struct hsm_session *session, CK_OBJECT_HANDLE handle, struct cleanup *count)
{
    struct err ignored = ERR_INIT;

    if (hsm_destroy(session, handle, &ignored)) {
        count->destroyed++;
    } else {
        count->left++;
    }
}

/* The very objects that were made, as long as their handles still stand for our id. */
static bool destroy_made(struct hsm_session *session, const struct hsm_id *id,
                         const struct made *made, struct cleanup *count, struct err *err)
{
    static const CK_ATTRIBUTE_TYPE types[] = {CKA_ID};

    for (size_t i = 0; i < ARRAY_LEN(made->handles); i++) {
        AUTO(attr_values) struct attr_values values = {.count = 0};
        if (!hsm_read(session, made->handles[i], types, ARRAY_LEN(types), &values, err)) {
            return false;
        }
        const struct attr_value *v = attr_values_find(&values, CKA_ID);
        if (v != NULL && v->len == id->len && memcmp(v->data, id->data, id->len) == 0) {
            destroy_one(session, made->handles[i], count);
        } else {
            count->left++;
        }
    }
    return true;
}

/* Whatever carries the id, if nobody but us can have made it. */
static bool destroy_by_id(struct hsm_session *session, const struct hsm_id *id, bool is_ours,
                          struct cleanup *count, struct err *err)
{
    struct attrs template = ATTRS_INIT;
    AUTO(hsm_handles) struct hsm_handles found = HSM_HANDLES_INIT;

    attrs_add_bytes(&template, CKA_ID, id->data, id->len);
    if (!hsm_find(session, &template, &found, err)) {
        return false;
    }
    if (!is_ours) {
        count->untouched = found.count;
        return true;
    }
    for (size_t i = 0; i < found.count; i++) {
        destroy_one(session, found.list[i], count);
    }
    return true;
}

static bool clean_up(struct hsm_token *token, const struct hsm_key_name *name,
                     const struct made *made, struct cleanup *count)
{
    AUTO(hsm_session) struct hsm_session session = HSM_SESSION_INIT;
    struct err ignored = ERR_INIT;

    return hsm_session_take_fresh(token, true, &session, &ignored) &&
           (made->known ? destroy_made(&session, name->id, made, count, &ignored)
                        : destroy_by_id(&session, name->id, name->id_is_random, count, &ignored));
}

/* Ends a failed generation: cleans up and says what became of the key. err holds the cause. */
static bool undo(struct hsm_token *token, const struct hsm_key_name *name, const struct made *made,
                 struct err *err)
{
    AUTO(buf) struct buf hex = BUF_INIT(2 * HSM_ID_MAX);
    struct cleanup count = {0};
    size_t used = strlen(err->msg);
    char *end = err->msg + used;
    size_t room = sizeof(err->msg) - used;

    str_add_hex(&hex, name->id->data, name->id->len, '\0');
    bool cleaned = clean_up(token, name, made, &count);
    if (!cleaned) {
        (void)snprintf(end, room,
                       "; whether a key was left behind could not be found out: it would "
                       "have id %s",
                       buf_str(&hex));
    } else if (count.left > 0) {
        (void)snprintf(end, room,
                       "; what was made could not be destroyed and is still on the "
                       "token with id %s",
                       buf_str(&hex));
    } else if (count.untouched > 0) {
        (void)snprintf(end, room,
                       "; there is something with id %s on the token now, which this or another "
                       "program made; it was left alone",
                       buf_str(&hex));
    } else if (count.destroyed > 0) {
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
    if (!hsm_key_find(&session, &uri, CKO_PRIVATE_KEY, true, key, err) ||
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

bool hsm_keygen(struct hsm_token *token, const struct hsm_policy *policy,
                const struct hsm_key_name *name, struct hsm_key *key, struct hsm_verdict *verdict,
                struct err *err)
{
    AUTO(hsm_session) struct hsm_session session = HSM_SESSION_INIT;
    struct made made = {.known = false};

    memset(key, 0, sizeof(*key));
    if (token->info.write_protected) {
        return err_set(err, E_TOKEN, "%s is write-protected", hsm_token_name(&token->info));
    }
    if (!hsm_session_take(token, true, &session, err) ||
        !is_unused(&session, name->id, name->label, err)) {
        return false;
    }
    CK_RV rv = generate(&session, policy, name, &made);
    if (rv != CKR_OK) {
        (void)ckr_set(err, rv, "C_GenerateKeyPair");
        (void)err_wrap(err, "%s cannot make a %s key", hsm_token_name(&token->info),
                       hsm_key_spec_name(&policy->spec));
        return undo(token, name, &made, err); /* some tokens report a failure and keep the key */
    }
    hsm_session_give(&session);
    if (!read_back(token, policy, name->id, name->label, key, verdict, err)) {
        hsm_key_done(key);
        return undo(token, name, &made, err);
    }
    return true;
}
