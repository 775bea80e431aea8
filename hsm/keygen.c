#include "hsm/keygen.h"

#include "base/str.h"
#include "hsm/ckr.h"
#include "hsm/keygen_impl.h"
#include "hsm/object.h"
#include "hsm/weak.h"

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

static bool id_is_used(const struct hsm_session *session, struct err *err)
{
    return err_set(err, E_OBJECT_EXISTS,
                   "%s has an object with that id already; ids are never "
                   "used twice",
                   hsm_token_name(&session->token->info));
}

static bool label_is_used(const struct hsm_session *session, const char *label, struct err *err)
{
    return err_set(err, E_OBJECT_EXISTS,
                   "%s has a private key labelled '%s' already; choose "
                   "another label, or use that key if a run that was interrupted made it "
                   "('key show' tells what it is)",
                   hsm_token_name(&session->token->info), label);
}

static bool count_of_id(struct hsm_session *session, const struct hsm_id *id, size_t *out,
                        struct err *err)
{
    struct attrs template = ATTRS_INIT;
    AUTO(hsm_handles) struct hsm_handles found = HSM_HANDLES_INIT;

    attrs_add_bytes(&template, CKA_ID, id->data, id->len);
    if (!hsm_find(session, &template, &found, err)) {
        return false;
    }
    *out = found.count;
    return true;
}

/* Nothing on the token may carry the id. */
static bool id_is_unused(struct hsm_session *session, const struct hsm_names *names,
                         const struct hsm_id *id, struct err *err)
{
    size_t count = 0;

    if (names != NULL) {
        return !hsm_names_has_id(names, id) || id_is_used(session, err);
    }
    return count_of_id(session, id, &count, err) && (count == 0 || id_is_used(session, err));
}

/* No private key may have the label. */
static bool label_is_unused(struct hsm_session *session, const struct hsm_names *names,
                            const char *label, struct err *err)
{
    struct attrs template = ATTRS_INIT;
    AUTO(hsm_handles) struct hsm_handles found = HSM_HANDLES_INIT;

    if (names != NULL) {
        return !hsm_names_has_label(names, label) || label_is_used(session, label, err);
    }
    attrs_add_ulong(&template, CKA_CLASS, CKO_PRIVATE_KEY);
    attrs_add_string(&template, CKA_LABEL, label);
    return hsm_find(session, &template, &found, err) &&
           (found.count == 0 || label_is_used(session, label, err));
}

static CK_MECHANISM_TYPE generation_mechanism(enum hsm_key_type type)
{
    return type == HSM_KEY_RSA  ? CKM_RSA_PKCS_KEY_PAIR_GEN
           : type == HSM_KEY_ED ? CKM_EC_EDWARDS_KEY_PAIR_GEN
                                : CKM_EC_KEY_PAIR_GEN;
}

static CK_RV generate_as(struct hsm_session *session, const struct hsm_policy *policy,
                         const struct hsm_key_name *name, struct hsm_made *made)
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

/* Whether a generation that failed made nothing all the same: some report a failure and keep the
 * key. */
static bool made_nothing(struct hsm_session *session, const struct hsm_key_name *name)
{
    struct err ignored = ERR_INIT;
    size_t made = 0;

    return count_of_id(session, name->id, &made, &ignored) && made == 0;
}

/*
 * PKCS#11 3.0 names Edwards curves by a PrintableString, 3.1 by an OID as well, and each is refused
 * by some token.
 */
static CK_RV generate_either_way(struct hsm_session *session, const struct hsm_policy *policy,
                                 const struct hsm_key_name *name, struct hsm_made *made)
{
    struct hsm_policy by_name = *policy;
    CK_RV rv = generate_as(session, policy, name, made);

    by_name.curve_by_name = true;
    if (policy->spec.type == HSM_KEY_ED &&
        (rv == CKR_ATTRIBUTE_VALUE_INVALID || rv == CKR_DOMAIN_PARAMS_INVALID ||
         rv == CKR_CURVE_NOT_SUPPORTED) &&
        made_nothing(session, name)) {
        return generate_as(session, &by_name, name, made);
    }
    return rv;
}

/* One run of hsm_keygen_with(). */
struct run {
    struct hsm_token *token;
    const struct hsm_keygen_request *request;
    struct hsm_policy policy; /* with what is left out of the template now */
    struct hsm_made made;
    struct hsm_keygen_report *report;
};

static void note_rung(struct run *run, CK_RV rv)
{
    struct hsm_keygen_report *report = run->report;
    AUTO(buf) struct buf names = BUF_INIT(512);
    char sentence[768];

    hsm_policy_group_names(&run->policy, run->policy.left_out, &names);
    (void)snprintf(report->left_out, sizeof(report->left_out), "%s", buf_str(&names));
    report->rungs[report->rung_count].rv = rv;
    report->rungs[report->rung_count++].left_out = run->policy.left_out;
    (void)snprintf(sentence, sizeof(sentence),
                   "%s refused the template of the key (C_GenerateKeyPair: %s); it is asked again "
                   "without %s",
                   hsm_token_name(&run->token->info), ckr_name(rv), buf_str(&names));
    if (run->request->on_rung != NULL) {
        run->request->on_rung(run->request->ctx, report->left_out, sentence);
    }
}

/* A module that cannot stand the strict template, not even to refuse it, gets a lower one at once.
 */
static void begin_lower(struct run *run)
{
    AUTO(buf) struct buf names = BUF_INIT(512);
    char sentence[768];

    if (!hsm_module_has_quirk(run->token->module, HSM_QUIRK_NO_USAGE_DENIALS)) {
        return;
    }
    run->policy.left_out = hsm_policy_groups(&run->policy) & HSM_GROUP_ZEROS;
    hsm_policy_group_names(&run->policy, run->policy.left_out, &names);
    (void)snprintf(run->report->left_out, sizeof(run->report->left_out), "%s", buf_str(&names));
    (void)snprintf(sentence, sizeof(sentence),
                   "%s is asked for the key without %s, as its module is known to need",
                   hsm_token_name(&run->token->info), buf_str(&names));
    if (run->request->on_rung != NULL && names.len > 0) {
        run->request->on_rung(run->request->ctx, run->report->left_out, sentence);
    }
}

/* Whether another template may be tried after that answer: there is one, and nothing was made. */
static bool may_go_on(struct run *run, struct hsm_session *session, CK_RV rv)
{
    bool general = hsm_module_has_quirk(run->token->module, HSM_QUIRK_GENERAL_ERROR_FOR_ATTRIBUTES);
    unsigned left_out = 0;

    if (!hsm_is_template_fault(rv, general) || run->report->rung_count == HSM_RUNGS_MAX ||
        !hsm_ladder_next(&run->policy, &left_out) || !made_nothing(session, run->request->name)) {
        return false;
    }
    run->policy.left_out = left_out;
    return true;
}

/* Asks for the key, with less and less in the template if it must be. */
static CK_RV generate(struct run *run, struct hsm_session *session)
{
    for (;;) {
        CK_RV rv = generate_either_way(session, &run->policy, run->request->name, &run->made);
        if (rv == CKR_OK || !may_go_on(run, session, rv)) {
            return rv;
        }
        note_rung(run, rv);
    }
}

bool hsm_key_verdict(struct hsm_session *session, const struct hsm_key *key,
                     const struct hsm_policy *policy, struct hsm_verdict *verdict, struct err *err)
{
    AUTO(attr_values) struct attr_values values = {.count = 0};
    struct hsm_policy here = *policy;
    size_t count = 0;
    const CK_ATTRIBUTE_TYPE *types = hsm_policy_attributes(&count);

    if (hsm_module_has_quirk(session->token->module, HSM_QUIRK_LOCAL_UNKNOWN)) {
        here.tolerate_local = true;
    }
    if (policy->mechanism_count == 0) {
        count--; /* the last one, which not every module stands to be asked for */
    }
    if (!hsm_read(session, key->handle, types, count, &values, err)) {
        return false;
    }
    hsm_policy_check(&here, &key->spec, &values, verdict);
    return true;
}

static bool is_strong(const struct hsm_key *key, struct err *err)
{
    enum hsm_weakness weakness = HSM_NOT_WEAK;

    if (key->spec.type != HSM_KEY_RSA) {
        return true;
    }
    if (!hsm_weakness_of(key->public.modulus, key->public.modulus_len, &weakness, err)) {
        return false;
    }
    return weakness == HSM_NOT_WEAK ||
           err_set(err, E_POLICY, "%s made a weak RSA key: it has %s",
                   hsm_token_name(&key->token->info), hsm_weakness_text(weakness));
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
        return err_set(err, E_POLICY, "%s did not make the key that was asked for: %s%s",
                       hsm_token_name(&token->info), verdict->violations,
                       verdict->only_more_usage
                           ? " (a policy with 'more_usage = accept' tolerates that)"
                           : "");
    }
    if (!str_equal(key->label, label)) {
        return err_set(err, E_POLICY, "%s gave the new key another label than asked for",
                       hsm_token_name(&token->info));
    }
    if (!key->public.known) {
        return err_set(err, E_POLICY, "%s shows no public half of the new key",
                       hsm_token_name(&token->info));
    }
    return is_strong(key, err);
}

static bool set_id(struct hsm_session *session, const struct hsm_made *made,
                   const struct hsm_id *id, struct err *err)
{
    for (size_t i = 0; i < ARRAY_LEN(made->handles); i++) {
        struct attrs change = ATTRS_INIT;
        attrs_add_bytes(&change, CKA_ID, id->data, id->len);
        CK_RV rv = ck_set_attribute_value(hsm_session_cryptoki(session), session->handle,
                                          made->handles[i], change.list, change.count);
        if (rv != CKR_OK) {
            return ckr_set(err, rv, "C_SetAttributeValue");
        }
    }
    return true;
}

/* Gives both halves the id that is computed from the key; if that fails, the first one again. */
static bool change_id(struct run *run, struct hsm_key *key, struct err *err)
{
    const struct hsm_keygen_request *request = run->request;
    AUTO(hsm_session) struct hsm_session session = HSM_SESSION_INIT;
    struct err ignored = ERR_INIT;
    struct hsm_id id;

    if (!hsm_key_id_by_rule(key, request->id_rule, &id, err) ||
        !hsm_session_take(run->token, true, &session, err) ||
        !id_is_unused(&session, request->names, &id, err)) {
        return false;
    }
    run->made.changed = id;
    bool changed = set_id(&session, &run->made, &id, err);
    if (!changed) {
        (void)set_id(&session, &run->made, request->name->id, &ignored);
        return err_wrap(err, "giving the new key its id");
    }
    hsm_session_give(&session);
    hsm_key_done(key);
    if (read_back(run->token, request->policy, &id, request->name->label, key,
                  &run->report->verdict, err)) {
        return true;
    }
    if (hsm_session_take(run->token, true, &session, &ignored)) {
        (void)set_id(&session, &run->made, request->name->id, &ignored);
    }
    return false;
}

static bool finish(struct run *run, struct hsm_key *key, struct err *err)
{
    const struct hsm_keygen_request *request = run->request;
    const struct hsm_key_name *name = request->name;
    bool computed = request->id_rule == HSM_ID_SHA1 || request->id_rule == HSM_ID_SKI;

    return read_back(run->token, request->policy, name->id, name->label, key, &run->report->verdict,
                     err) &&
           (!computed || change_id(run, key, err)) &&
           (request->names == NULL || (hsm_names_add_id(request->names, &key->id, err) &&
                                       hsm_names_add_label(request->names, name->label, err)));
}

bool hsm_keygen_with(struct hsm_token *token, const struct hsm_keygen_request *request,
                     struct hsm_key *key, struct hsm_keygen_report *report, struct err *err)
{
    AUTO(hsm_session) struct hsm_session session = HSM_SESSION_INIT;
    const struct hsm_key_name *name = request->name;
    struct run run = {
        .token = token, .request = request, .policy = *request->policy, .report = report};

    memset(key, 0, sizeof(*key));
    memset(report, 0, sizeof(*report));
    if (token->info.write_protected) {
        return err_set(err, E_TOKEN, "%s is write-protected", hsm_token_name(&token->info));
    }
    if (!hsm_session_take(token, true, &session, err) ||
        !id_is_unused(&session, request->names, name->id, err) ||
        !label_is_unused(&session, request->names, name->label, err)) {
        return false;
    }
    begin_lower(&run);
    CK_RV rv = generate(&run, &session);
    if (rv != CKR_OK) {
        (void)ckr_set(err, rv, "C_GenerateKeyPair");
        (void)err_wrap(err, "%s cannot make a %s key%s%s", hsm_token_name(&token->info),
                       hsm_key_spec_name(&request->policy->spec),
                       report->left_out[0] != '\0' ? ", not even without " : "", report->left_out);
        return hsm_keygen_undo(token, name, &run.made,
                               err); /* some report a failure and keep the key */
    }
    hsm_session_give(&session);
    if (!finish(&run, key, err)) {
        hsm_key_done(key);
        return hsm_keygen_undo(token, name, &run.made, err);
    }
    return true;
}

bool hsm_keygen(struct hsm_token *token, const struct hsm_policy *policy,
                const struct hsm_key_name *name, struct hsm_key *key, struct hsm_verdict *verdict,
                struct err *err)
{
    struct hsm_keygen_request request = {.policy = policy, .name = name};
    struct hsm_keygen_report report;

    bool ok = hsm_keygen_with(token, &request, key, &report, err);
    *verdict = report.verdict;
    return ok;
}
