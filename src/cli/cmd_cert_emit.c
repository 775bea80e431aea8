#include "base/file.h"
#include "base/str.h"
#include "cli/token.h"
#include "hsm/cert.h"
#include "hsm/key.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_MAX = 64 * 1024 };

/* What all kinds are made of. */
struct subject {
    struct hsm_opened opened;
    struct hsm_session session;
    struct hsm_key key;
    char *cert_label;   /* of the certificate on the token; NULL: none */
    char *uri;          /* of the key */
    char *dir;          /* absolute; NULL: no files */
    const char *module; /* borrowed */
};

static void subject_done(struct subject *subject)
{
    free(subject->cert_label);
    free(subject->uri);
    free(subject->dir);
    hsm_key_done(&subject->key);
    hsm_session_give(&subject->session);
    hsm_opened_done(&subject->opened);
}

DEFINE_AUTO_DONE(subject, struct subject, subject_done)

struct kind {
    const char *name;
    bool needs_files;
    void (*print)(struct cli *cli, const struct subject *subject);
};

/* Environment variables by which modules find their things; servers have to hand them on. */
static const char *const module_variables[] = {"SOFTHSM2_CONF", "P11_KIT_SERVER_ADDRESS",
                                               "TPM2_PKCS11_STORE", "TPM2_PKCS11_TCTI",
                                               "PKCS11_PROXY_SOCKET"};

/* The configuration of OpenSSL by which it knows the provider. */
static void print_openssl(struct cli *cli, const struct subject *s)
{
    AUTO(buf) struct buf text = BUF_INIT(TEXT_MAX);

    buf_add_str(&text, "# the file that OPENSSL_CONF names in the service's environment\n"
                       "openssl_conf = init\n[init]\nproviders = providers\n[providers]\n"
                       "default = default_sect\np11enroll = p11enroll_sect\n[default_sect]\n"
                       "activate = 1\n[p11enroll_sect]\n");
    buf_addf(&text, "module-path = %s\n", s->module != NULL ? s->module : "(the module)");
    if (!secret_source_is_prompt(s->opened.pin_source)) {
        buf_addf(&text, "pin-source = %s\n", s->opened.pin_source);
    }
    buf_add_str(&text, "activate = 1\n");
    out_block(&cli->out, "openssl_conf", buf_str(&text));
}

static void print_nginx(struct cli *cli, const struct subject *s)
{
    AUTO(buf) struct buf text = BUF_INIT(TEXT_MAX);
    AUTO(buf) struct buf server = BUF_INIT(TEXT_MAX);

    print_openssl(cli, s);
    buf_add_str(&text, "# nginx.conf, at the top\nenv OPENSSL_CONF;\n");
    for (size_t i = 0; i < ARRAY_LEN(module_variables); i++) {
        if (getenv(module_variables[i]) != NULL) {
            buf_addf(&text, "env %s;\n", module_variables[i]);
        }
    }
    out_block(&cli->out, "nginx_main", buf_str(&text));
    buf_addf(&server,
             "# nginx.conf, in the server { }\nlisten 443 ssl;\n"
             "ssl_certificate     %s/fullchain.pem;\nssl_certificate_key %s/key.pem;\n",
             s->dir, s->dir);
    out_block(&cli->out, "nginx_server", buf_str(&server));
}

static void print_httpd(struct cli *cli, const struct subject *s)
{
    AUTO(buf) struct buf text = BUF_INIT(TEXT_MAX);

    print_openssl(cli, s);
    buf_addf(&text,
             "# in the <VirtualHost>; OPENSSL_CONF belongs into envvars\nSSLEngine on\n"
             "SSLCertificateFile    %s/fullchain.pem\nSSLCertificateKeyFile %s/key.pem\n",
             s->dir, s->dir);
    out_block(&cli->out, "httpd", buf_str(&text));
}

static void print_haproxy(struct cli *cli, const struct subject *s)
{
    AUTO(buf) struct buf text = BUF_INIT(TEXT_MAX);

    print_openssl(cli, s);
    buf_addf(&text,
             "# in the frontend; without chroot in the global section\n"
             "bind :443 ssl crt %s/combined.pem\n",
             s->dir);
    out_block(&cli->out, "haproxy", buf_str(&text));
}

static void print_java(struct cli *cli, const struct subject *s)
{
    AUTO(buf) struct buf conf = BUF_INIT(TEXT_MAX);
    AUTO(buf) struct buf use = BUF_INIT(TEXT_MAX);

    buf_addf(&conf,
             "# pkcs11.cfg; Java finds a token by its slot alone: look again when slots change\n"
             "name = p11enroll\nlibrary = %s\nslot = %lu\n",
             s->module != NULL ? s->module : "(the module)",
             (unsigned long)s->opened.token->info.slot_id);
    out_block(&cli->out, "java_config", buf_str(&conf));
    out_text(&cli->out, "java_alias", "Alias", s->cert_label);
    buf_add_str(&use,
                "# java.security, the next number; then programs find it as SunPKCS11-p11enroll\n"
                "# security.provider.14=SunPKCS11 pkcs11.cfg\n");
    buf_add_str(&use, "keytool -list -keystore NONE -storetype PKCS11 "
                      "-addprovider SunPKCS11 -providerArg pkcs11.cfg\n");
    buf_add_str(&use, "java -Djavax.net.ssl.keyStore=NONE -Djavax.net.ssl.keyStoreType=PKCS11 "
                      "-Djavax.net.ssl.keyStoreProvider=SunPKCS11-p11enroll ...\n");
    out_block(&cli->out, "java_use", buf_str(&use));
}

/* One word for a shell, whatever is in it. */
static void add_word(struct buf *out, const char *text)
{
    buf_add_byte(out, '\'');
    for (; *text != '\0'; text++) {
        if (*text == '\'') {
            buf_add_str(out, "'\\''");
        } else {
            buf_add_byte(out, (uint8_t)*text);
        }
    }
    buf_add_byte(out, '\'');
}

static void print_nss(struct cli *cli, const struct subject *s)
{
    AUTO(buf) struct buf text = BUF_INIT(TEXT_MAX);
    AUTO(buf) struct buf nickname = BUF_INIT(512);

    buf_addf(&nickname, "%s:%s", s->opened.token->info.label, s->cert_label);
    out_text(&cli->out, "nss_nickname", "Nickname", buf_str(&nickname));
    buf_add_str(&text, "modutil -dbdir sql:DIR -add p11enroll -force -libfile ");
    add_word(&text, s->module != NULL ? s->module : "(the module)");
    buf_add_str(&text, "\ncertutil -d sql:DIR -L -h ");
    add_word(&text, s->opened.token->info.label);
    buf_add_byte(&text, '\n');
    out_block(&cli->out, "nss", buf_str(&text));
}

static const struct kind kinds[] = {
    {"nginx", true, print_nginx}, {"httpd", true, print_httpd}, {"haproxy", true, print_haproxy},
    {"java", false, print_java},  {"nss", false, print_nss},
};

static const struct kind *find_kind(const char *name, struct err *err)
{
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        if (str_equal(kinds[i].name, name)) {
            return &kinds[i];
        }
    }
    (void)err_set(err, E_USAGE, "'%.40s' is none of nginx, httpd, haproxy, java, nss", name);
    return NULL;
}

bool cli_emit_check(const char *kind, const char *dir, bool detached, struct err *err)
{
    const struct kind *found = find_kind(kind, err);

    if (found == NULL) {
        return false;
    }
    if (found->needs_files) {
        return dir != NULL || detached ||
               err_set(err, E_USAGE, "%s reads files: say with --dir where they are, or are put",
                       kind);
    }
    return !detached || err_set(err, E_USAGE,
                                "%s finds certificates on the token alone, and this one goes into "
                                "files",
                                kind);
}

/* The label of the certificate that programs will find: of this key, under its id, no attestation.
 */
static bool find_label(struct subject *s, struct err *err)
{
    AUTO(hsm_certs) struct hsm_certs certs = HSM_CERTS_INIT;
    struct hsm_uri uri = {.id = s->key.id};

    if (!s->key.id.set) {
        return true;
    }
    if (!hsm_certs_find(&s->session, &uri, &certs, err)) {
        return false;
    }
    for (size_t i = 0; i < certs.count && s->cert_label == NULL; i++) {
        if (!hsm_cert_is_attestation(&certs.list[i]) && hsm_cert_is_of(&certs.list[i], &s->key)) {
            s->cert_label = str_dup(certs.list[i].label);
            if (s->cert_label == NULL) {
                return err_nomem(err);
            }
        }
    }
    return true;
}

static bool find_subject(struct cli *cli, const char *text, struct subject *s, struct err *err)
{
    AUTO(hsm_uri) struct hsm_uri uri = {0};
    AUTO(buf) struct buf formatted = BUF_INIT(HSM_URI_MAX);

    if (!cli_token_open(cli, text, true, &s->opened, err) ||
        !hsm_session_take(s->opened.token, false, &s->session, err)) {
        return false;
    }
    s->opened.uri.type = HSM_URI_PRIVATE; /* the URI may be the certificate's */
    if (!hsm_key_find(&s->session, &s->opened.uri, CKO_PRIVATE_KEY, true, &s->key, err) ||
        !find_label(s, err) || !hsm_key_uri(&s->key, &uri, err)) {
        return false;
    }
    hsm_uri_format(&uri, &formatted);
    s->uri = buf_take_str(&formatted);
    s->module =
        s->opened.uri.module_path != NULL ? s->opened.uri.module_path : cli_access(cli).module_path;
    return s->uri != NULL || err_nomem(err);
}

/* The directory as the programs will read it: configurations have quotes of their own, each
 * different, and need none for this. */
static bool take_dir(struct subject *s, const char *dir, struct err *err)
{
    static const char plain[] =
        "/._-+@:=0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

    s->dir = realpath(dir, NULL);
    if (s->dir == NULL) {
        return err_set_errno(err, E_IO, errno, "%s", dir);
    }
    return strspn(s->dir, plain) == strlen(s->dir) ||
           err_set(err, E_USAGE,
                   "%s has characters that would need quotes in a configuration; name a directory "
                   "with another name",
                   s->dir);
}

static void print_files(struct cli *cli, const struct subject *s)
{
    static const struct {
        const char *key, *label, *name;
    } files[] = {{"chain_file", "Certificate and chain", "fullchain.pem"},
                 {"key_file", "Stands for the key", "key.pem"}};

    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        AUTO(str) char *path = s->dir != NULL ? file_join(s->dir, files[i].name) : NULL;
        out_text(&cli->out, files[i].key, files[i].label, path);
    }
}

bool cli_emit(struct cli *cli, const char *key_uri, const char *kind, const char *dir,
              struct err *err)
{
    const struct kind *found = find_kind(kind, err);
    AUTO(subject) struct subject s = {.session = HSM_SESSION_INIT};

    if (found == NULL || !find_subject(cli, key_uri, &s, err)) {
        return false;
    }
    if (!found->needs_files && s.cert_label == NULL) {
        return err_set(err, E_OBJECT_MISSING,
                       "%s finds a key by its certificate, and key '%s' on %s has none there", kind,
                       s.key.label, hsm_token_name(&s.opened.token->info));
    }
    if (dir != NULL) {
        if (!app_detach_again(&cli->app, s.uri, dir, err) || !take_dir(&s, dir, err)) {
            return false;
        }
    }
    out_text(&cli->out, "token", "Token", s.opened.token->info.label);
    out_text(&cli->out, "token_serial", "Its serial number", s.opened.token->info.serial);
    out_text(&cli->out, "uri", "Key URI", s.uri);
    print_files(cli, &s);
    found->print(cli, &s);
    return true;
}

bool cmd_cert_emit(struct cli *cli, struct err *err)
{
    const struct opts_cert_emit *opts = cli->opts;

    return cli_emit_check(cli->operands[1], opts->dir, false, err) && cli_app(cli, err) &&
           cli_emit(cli, cli->operands[0], cli->operands[1], opts->dir, err);
}
