/* What is signed: everything of an order that will be sent, and by whom, in one text. */
#include "app/approval.h"

#include "base/str.h"
#include "json/json.h"

#include <openssl/evp.h>
#include <string.h>

static const char purpose[] = "p11enroll: decision on a certificate order, version 2";

static const char *send_word(int send_names)
{
    switch ((enum ca_send_names)send_names) {
    case CA_NAMES_ALWAYS:
        return "always";
    case CA_NAMES_NEVER:
        return "never";
    case CA_NAMES_AUTO:
        break;
    }
    return "auto";
}

static bool add_hash(json *doc, const char *name, const uint8_t *hash, size_t len)
{
    AUTO(buf) struct buf hex = BUF_INIT(2 * EVP_MAX_MD_SIZE);

    str_add_hex(&hex, hash, len, '\0');
    return buf_ok(&hex) && json_add_string(doc, name, buf_str(&hex));
}

/* The request as DER: armour and line ends say nothing. An order that has none of its own is for
 * the key that it names. */
static bool add_request(json *doc, const struct order *order, struct err *err)
{
    AUTO(x509_req) X509_REQ *csr = NULL;
    uint8_t hash[EVP_MAX_MD_SIZE];
    uint8_t spki[X509_SPKI_HASH_LEN];
    unsigned len = 0;

    if (order->csr_pem == NULL) {
        return add_hash(doc, "public_key_sha256", order->spki_hash, sizeof(order->spki_hash)) ||
               err_nomem(err);
    }
    if (!x509_csr_parse(order->csr_pem, &csr, err) || !x509_csr_spki_hash(csr, spki, err)) {
        return err_wrap(err, "order %lld: its request", (long long)order->id);
    }
    if (X509_REQ_digest(csr, EVP_sha256(), hash, &len) != 1) {
        return err_set_ssl(err, E_INTERNAL, "hashing the request of order %lld",
                           (long long)order->id);
    }
    return (add_hash(doc, "csr_sha256", hash, len) &&
            add_hash(doc, "public_key_sha256", spki, sizeof(spki))) ||
           err_nomem(err);
}

static bool add_names(json *doc, const struct order *order, struct err *err)
{
    AUTO(str) char *names = str_dup(order->names);
    json *list = json_new_array();
    char *save = NULL;
    bool ok = names != NULL && list != NULL;

    for (char *name = ok ? strtok_r(names, ",", &save) : NULL; ok && name != NULL;
         name = strtok_r(NULL, ",", &save)) {
        ok = json_append_string(list, name);
    }
    if (!ok) {
        json_free(list);
        return err_nomem(err);
    }
    return json_add(doc, "names", list) || err_nomem(err);
}

static bool add_texts(json *doc, const struct config_selection *selection,
                      const struct order *order, struct err *err)
{
    const struct {
        const char *name, *value;
    } texts[] = {
        {"ca", order->ca},
        {"ca_path", selection->ca->api_path},
        {"ca_url", selection->ca->url},
        {"client_id", selection->ca->client_id},
        {"comments", order->comments},
        {"custom_fields", order->custom_fields},
        {"external_requester", order->external_requester},
        {"customer_uri", selection->ca->customer_uri},
        {"kind", order->kind},
        {"login", selection->ca->login},
        {"mark", order->mark},
        {"optional_fields", order->optional_fields},
        {"order_fields", selection->ca->order_fields},
        {"origin", order->origin},
        {"parent", order->parent},
        {"parent_serial", order->parent_serial},
        {"person", order->person},
        {"product", order->product},
        {"profile", order->profile},
        {"reason", order->reason},
        {"requester", order->requester},
        {"send_names", send_word(order->send_names)},
        {"subject", order->subject},
    };

    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        if (texts[i].value != NULL && !json_add_string(doc, texts[i].name, texts[i].value)) {
            return err_nomem(err);
        }
    }
    return (json_add_int(doc, "order", order->id) &&
            json_add_int(doc, "organization", config_org_id(selection)) &&
            json_add_int(doc, "product_id", order->product_id) &&
            json_add_int(doc, "term_days", order->term_days)) ||
           err_nomem(err);
}

bool approval_text(const struct config_selection *selection, const struct order *order,
                   bool approve, struct buf *out, struct err *err)
{
    AUTO(json) json *doc = json_new_object();

    if (order->state == ORDER_PLANNED || order->state == ORDER_KEY_READY) {
        return err_set(err, E_USAGE,
                       "order %lld is in the state '%s': there is no request to decide on yet",
                       (long long)order->id, order_state_name(order->state));
    }
    if (!json_add_string(doc, "purpose", purpose) ||
        !json_add_string(doc, "decision", approve ? "approve" : "decline")) {
        return err_nomem(err);
    }
    return add_texts(doc, selection, order, err) && add_names(doc, order, err) &&
           add_request(doc, order, err) && json_print_sorted(doc, false, out, err);
}
