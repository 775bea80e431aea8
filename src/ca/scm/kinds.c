#include "ca/scm/scm.h"

#include "base/str.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NONE SCM_ENDPOINTS

static const struct scm_kind kinds[CA_KINDS] = {
    [CA_KIND_TLS] = {.cert_type = "SSL",
                     .id_member = "sslId",
                     .types = SCM_TYPES,
                     .enroll = SCM_ENROLL,
                     .details = SCM_DETAILS,
                     .collect = SCM_COLLECT_QUERY,
                     .list = SCM_LIST,
                     .by = {.common_name = "commonName",
                            .name = "subjectAlternativeName",
                            .status = "status",
                            .serial = "serialNumber",
                            .requester = "requester",
                            .external_requester = "externalRequester",
                            .org = "orgId",
                            .product = "sslTypeId"},
                     .report = SCM_REPORT,
                     .renew = SCM_RENEW,
                     .replace = SCM_REPLACE,
                     .revoke = SCM_REVOKE,
                     .revoke_serial = SCM_REVOKE_SERIAL,
                     .approve = SCM_APPROVE,
                     .decline = SCM_DECLINE,
                     .update = SCM_UPDATE},
    [CA_KIND_DEVICE] = {.cert_type = "Device",
                        .id_member = "deviceCertId",
                        .types = SCM_DEVICE_TYPES,
                        .enroll = SCM_DEVICE_ENROLL,
                        .details = SCM_DEVICE_DETAILS,
                        .collect = SCM_DEVICE_COLLECT,
                        .list = SCM_DEVICE_LIST,
                        .by = {.common_name = "commonName",
                               .status = "status",
                               .serial = "serialNumber",
                               .org = "orgId",
                               .product = "certTypeId"},
                        .report = SCM_DEVICE_REPORT,
                        .renew = SCM_DEVICE_RENEW,
                        .replace = SCM_DEVICE_REPLACE,
                        .revoke = SCM_DEVICE_REVOKE,
                        .revoke_serial = SCM_DEVICE_REVOKE_SERIAL,
                        .approve = SCM_DEVICE_APPROVE,
                        .decline = SCM_DEVICE_DECLINE,
                        .update = SCM_DEVICE_UPDATE},
    /* Its details have a number of their own; the list has the state, by the CA's side's number. */
    [CA_KIND_SMIME] = {.cert_type = "SMIME",
                       .id_member = "backendCertId",
                       .types = SCM_SMIME_TYPES,
                       .enroll = SCM_SMIME_ENROLL,
                       .details = NONE,
                       .collect = SCM_SMIME_COLLECT,
                       .list = SCM_SMIME_LIST,
                       .by = {.name = "email",
                              .status = "state",
                              .serial = "serialNumber",
                              .product = "certTypeId"},
                       .report = NONE, /* it has neither states nor serial numbers */
                       .renew = SCM_SMIME_RENEW,
                       .replace = NONE,
                       .revoke = SCM_SMIME_REVOKE,
                       .revoke_serial = SCM_SMIME_REVOKE_SERIAL,
                       .approve = NONE,
                       .decline = NONE,
                       .update = SCM_SMIME_UPDATE},
};

const struct scm_kind *scm_kind(enum ca_kind kind)
{
    return &kinds[kind];
}

bool scm_kind_has(enum ca_kind kind, enum scm_endpoint_id endpoint, const char *what,
                  struct err *err)
{
    return endpoint != NONE ||
           err_set(err, E_USAGE, "certificates of the kind '%s' cannot be %s over the CA's API",
                   ca_kind_name(kind), what);
}

bool scm_state_read(const char *text, json **doc, struct scm_state *out, struct err *err)
{
    const char *kind = NULL;

    *out = (struct scm_state){.comments = ""};
    bool ok = text != NULL && json_parse((const uint8_t *)text, strlen(text), doc, err) &&
              json_is_object(*doc);
    if (ok) {
        (void)json_find_int(*doc, "id", &out->id);
        (void)json_find_int(*doc, "renews", &out->renews);
        for (const json *id = json_first(json_member(*doc, "known")); id != NULL;
             id = json_next(id)) {
            int64_t number = 0;
            if (json_int(id, &number)) {
                scm_ids_add(&out->known, number);
            }
        }
        (void)json_find_bool(*doc, "replaces", &out->replaces);
        (void)json_find_bool(*doc, "renewed", &out->renewed);
        (void)json_find_string(*doc, "comments", &out->comments);
        (void)json_find_string(*doc, "kind", &kind);
        ok = ca_kind_parse(kind, &out->kind) && (out->id > 0 || out->renews > 0);
    }
    return ok || err_set(err, E_JOURNAL, "the journal has no usable number for this order");
}

static bool add_number(json *doc, const char *name, int64_t value)
{
    return value == 0 || json_add_int(doc, name, value);
}

/* As texts: all of the numbers that JSON readers agree on are smaller than ours may be. */
static bool add_known(json *doc, const struct scm_ids *known)
{
    json *list = known->count > 0 ? json_new_array() : NULL;
    char text[24];

    for (size_t i = 0; list != NULL && i < known->count; i++) {
        (void)snprintf(text, sizeof(text), "%lld", (long long)known->list[i]);
        if (!json_append_string(list, text)) {
            json_free(list);
            return false;
        }
    }
    return known->count == 0 || (list != NULL && json_add(doc, "known", list));
}

char *scm_state_text(const struct scm_state *state)
{
    AUTO(json) json *doc = json_new_object();
    AUTO(buf) struct buf text = BUF_INIT(32768);
    struct err ignored = ERR_INIT;

    if (doc == NULL || !add_number(doc, "id", state->id) ||
        !add_number(doc, "renews", state->renews) || !add_known(doc, &state->known)) {
        return NULL;
    }
    if ((state->replaces && !json_add_bool(doc, "replaces", true)) ||
        (state->renewed && !json_add_bool(doc, "renewed", true)) ||
        (state->comments != NULL && !json_add_string(doc, "comments", state->comments)) ||
        (state->kind != CA_KIND_TLS && !json_add_string(doc, "kind", ca_kind_name(state->kind)))) {
        return NULL;
    }
    return json_print(doc, &text, &ignored) ? str_dup(buf_str(&text)) : NULL;
}
