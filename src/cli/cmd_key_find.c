#include "cli/key.h"

#include "base/file.h"
#include "base/str.h"
#include "hsm/proof.h"

#include <openssl/bio.h>
#include <openssl/pem.h>
#include <string.h>

/* key find, key public: what a URI means, and the public half of a key. */

static const struct out_column find_columns[] = {
    {"kind", "KIND", 12, false}, {"label", "LABEL", 30, false}, {"id", "ID", 32, false},
    {"why", "WHY", 0, false},    {"uri", NULL, 0, false},
};

/* One search: what is looked for, and why its results are shown. */
struct search {
    struct cli *cli;
    struct hsm_session *session;
    const char *why;
    const struct hsm_handles *but; /* objects that were shown already; NULL: none */
    size_t shown;
};

static enum hsm_uri_type type_of(CK_ULONG class)
{
    return class == CKO_PRIVATE_KEY   ? HSM_URI_PRIVATE
           : class == CKO_PUBLIC_KEY  ? HSM_URI_PUBLIC
           : class == CKO_CERTIFICATE ? HSM_URI_CERT
           : class == CKO_SECRET_KEY  ? HSM_URI_SECRET_KEY
           : class == CKO_DATA        ? HSM_URI_DATA
                                      : HSM_URI_ANY;
}

static const char *kind_of(enum hsm_uri_type type)
{
    switch (type) {
    case HSM_URI_PRIVATE:
        return "private key";
    case HSM_URI_PUBLIC:
        return "public key";
    case HSM_URI_CERT:
        return "certificate";
    case HSM_URI_SECRET_KEY:
        return "secret key";
    case HSM_URI_DATA:
        return "data";
    case HSM_URI_ANY:
        break;
    }
    return "other";
}

static bool show(struct search *search, CK_OBJECT_HANDLE handle, struct err *err)
{
    static const CK_ATTRIBUTE_TYPE types[] = {CKA_CLASS, CKA_ID, CKA_LABEL};
    AUTO(attr_values) struct attr_values values = {.count = 0};
    AUTO(hsm_uri) struct hsm_uri uri = {0};
    AUTO(str) char *label = NULL;
    AUTO(buf) struct buf text = BUF_INIT(HSM_URI_MAX);
    AUTO(buf) struct buf hex = BUF_INIT(2 * HSM_ID_MAX);
    CK_ULONG class = CK_UNAVAILABLE_INFORMATION;

    if (!hsm_read(search->session, handle, types, ARRAY_LEN(types), &values, err) ||
        !hsm_token_uri(&search->session->token->info, &uri, err) ||
        !hsm_object_name(&values, &uri.id, &label, err) ||
        (label[0] != '\0' && !hsm_uri_set(&uri.object, label, err))) {
        return false;
    }
    (void)attr_values_ulong(&values, CKA_CLASS, &class);
    uri.type = type_of(class);
    hsm_uri_format(&uri, &text);
    str_add_hex(&hex, uri.id.data, uri.id.len, '\0');
    const char *cells[] = {kind_of(uri.type), label, buf_str(&hex), search->why, buf_str(&text)};
    out_row(&search->cli->out, cells);
    search->shown++;
    return true;
}

static bool is_among(const struct hsm_handles *handles, CK_OBJECT_HANDLE handle)
{
    for (size_t i = 0; handles != NULL && i < handles->count; i++) {
        if (handles->list[i] == handle) {
            return true;
        }
    }
    return false;
}

static bool show_all(struct search *search, const struct hsm_handles *found, struct err *err)
{
    for (size_t i = 0; i < found->count; i++) {
        if (!is_among(search->but, found->list[i]) && !show(search, found->list[i], err)) {
            return false;
        }
    }
    return true;
}

static const char *why_of(const struct hsm_uri *uri)
{
    return uri->id.set && uri->object != NULL ? "has the label and the id"
           : uri->id.set                      ? "has the id"
           : uri->object != NULL              ? "has the label"
                                              : "is on the token";
}

/* What the URI does not name and belongs to what it names: objects with the id of a private key. */
static bool show_relatives(struct search *search, const struct hsm_handles *found, struct err *err)
{
    enum { MOST = 16 };

    for (size_t i = 0; i < found->count && i < MOST; i++) {
        AUTO(hsm_key) struct hsm_key key = {0};
        AUTO(hsm_handles) struct hsm_handles relatives = HSM_HANDLES_INIT;
        struct attrs template = ATTRS_INIT;
        if (!hsm_key_load(search->session, found->list[i], CKO_PRIVATE_KEY, false, &key, err)) {
            return false;
        }
        if (!key.id.set) {
            continue;
        }
        attrs_add_bool(&template, CKA_TOKEN, true);
        attrs_add_bytes(&template, CKA_ID, key.id.data, key.id.len);
        if (!hsm_find(search->session, &template, &relatives, err) ||
            !show_all(search, &relatives, err)) {
            return false;
        }
    }
    return true;
}

static CK_OBJECT_CLASS class_of(enum hsm_uri_type type)
{
    return type == HSM_URI_PRIVATE      ? CKO_PRIVATE_KEY
           : type == HSM_URI_PUBLIC     ? CKO_PUBLIC_KEY
           : type == HSM_URI_CERT       ? CKO_CERTIFICATE
           : type == HSM_URI_SECRET_KEY ? CKO_SECRET_KEY
                                        : CKO_DATA;
}

bool cmd_key_find(struct cli *cli, struct err *err)
{
    AUTO(hsm_opened) struct hsm_opened opened = {.token = NULL};
    AUTO(hsm_session) struct hsm_session session = HSM_SESSION_INIT;
    AUTO(hsm_handles) struct hsm_handles found = HSM_HANDLES_INIT;
    AUTO(hsm_handles) struct hsm_handles privates = HSM_HANDLES_INIT;
    struct attrs template = ATTRS_INIT;
    struct attrs private_template = ATTRS_INIT;

    if (!cli_token_open(cli, cli->operands[0], true, &opened, err) ||
        !hsm_session_take(opened.token, false, &session, err)) {
        return false;
    }
    if (opened.uri.type == HSM_URI_ANY) {
        hsm_uri_to_template_any(&opened.uri, &template);
    } else {
        hsm_uri_to_template(&opened.uri, class_of(opened.uri.type), &template);
    }
    hsm_uri_to_template(&opened.uri, CKO_PRIVATE_KEY, &private_template);
    if (!hsm_find(&session, &template, &found, err) ||
        !hsm_find(&session, &private_template, &privates, err)) {
        return false;
    }
    struct search search = {.cli = cli, .session = &session, .why = why_of(&opened.uri)};
    out_table(&cli->out, "objects", find_columns, ARRAY_LEN(find_columns), "Nothing matches.");
    bool ok = show_all(&search, &found, err);
    search.why = "has the id of a private key that matches";
    search.but = &found;
    ok = ok && (!hsm_uri_names_object(&opened.uri) || show_relatives(&search, &privates, err));
    out_table_end(&cli->out);
    out_number(&cli->out, "private_keys", "Private keys that match", (int64_t)privates.count);
    return ok;
}

bool cli_write_new(const char *path, const char *text, struct err *err)
{
    return file_exists(path)
               ? err_set(err, E_OBJECT_EXISTS,
                         "%s exists, and is not written over; move it away first", path)
               : cli_write_public(path, text, err);
}

DEFINE_AUTO(bio, BIO *, BIO_free)

static bool public_pem(const struct hsm_key *key, struct buf *out, struct err *err)
{
    AUTO(pkey) EVP_PKEY *public = NULL;
    AUTO(bio) BIO *bio = BIO_new(BIO_s_mem());
    char *data = NULL;

    if (!hsm_key_public_evp(key, &public, err)) {
        return false;
    }
    if (bio == NULL || PEM_write_bio_PUBKEY(bio, public) != 1) {
        return err_set_ssl(err, E_INTERNAL, "encoding a public key");
    }
    long len = BIO_get_mem_data(bio, &data);
    buf_add(out, data, len > 0 ? (size_t)len : 0);
    return buf_ok(out) || err_nomem(err);
}

bool cmd_key_public(struct cli *cli, struct err *err)
{
    const struct opts_key_public *opts = cli->opts;
    AUTO(hsm_opened) struct hsm_opened opened = {.token = NULL};
    AUTO(hsm_session) struct hsm_session session = HSM_SESSION_INIT;
    AUTO(hsm_family) struct hsm_family family = {.strangers = 0};
    AUTO(buf) struct buf pem = BUF_INIT(16384);

    if (!cli_family(cli, &opened, &session, &family, err) || !hsm_proof_check(&family.key, err) ||
        !public_pem(&family.key, &pem, err)) {
        return false;
    }
    if (opts->out_path == NULL) {
        out_block(&cli->out, "pem", buf_str(&pem));
        return true;
    }
    if (!cli_write_new(opts->out_path, buf_str(&pem), err)) {
        return false;
    }
    out_text(&cli->out, "pem_file", "File", opts->out_path);
    return true;
}
