#include "app/app.h"

#include "base/str.h"

enum { SOON_S = 30 * 86400 };

/*
 * A client certificate for TLS needs the key usage clientAuth. People used to take a public TLS
 * server certificate for it; those no longer carry it, and the next renewal breaks the login.
 */
static void check_identity(const struct app *app, const struct keystore_identity *identity,
                           struct ca_checks *out)
{
    AUTO(x509_info) struct x509_info info = {.subject = NULL};
    struct err err = ERR_INIT;
    char until[CLOCK_TEXT_SIZE];
    int64_t now = clock_wall_s(app->clock);

    if (identity->cert == NULL) {
        return;
    }
    if (!x509_info(identity->cert, &info, &err)) {
        ca_checks_add(out, "client certificate", false, "%s", err.msg);
        out->worst = err.code;
        return;
    }
    clock_format(info.not_after_s, until);
    if (info.not_after_s <= now) {
        ca_checks_add(out, "client certificate", false, "'%s' expired on %s", info.subject, until);
        ca_checks_remedy(out, "have a new one issued, and select it for the login in SCM");
        out->worst = E_KEYSTORE;
        return;
    }
    ca_checks_add(out, "client certificate", true,
                  "'%.150s' of '%.150s', serial %s, valid until %s", info.subject, info.issuer,
                  info.serial, until);
    if (!info.can_client_auth) {
        ca_checks_add(
            out, "client certificate", true,
            "its extended key usage lacks clientAuth, so servers may refuse it: public "
            "CAs stopped issuing TLS server certificates with clientAuth, because browser "
            "root programs want server authentication alone in public TLS hierarchies; "
            "use a certificate that was issued for client authentication");
        ca_checks_warn(out);
        ca_checks_remedy(out,
                         "have a client certificate issued in SCM, and select it for the login");
    } else if (info.not_after_s - now < SOON_S) {
        ca_checks_add(out, "client certificate", true, "it expires within 30 days");
        ca_checks_warn(out);
        ca_checks_remedy(out, "have a new one issued, and select it for the login in SCM");
    }
}

void app_check(struct app *app, struct ca_checks *out)
{
    AUTO(app_ca) struct app_ca connection = {.ca = NULL};
    struct err err = ERR_INIT;

    *out = (struct ca_checks){.count = 0};
    if (!app_ca_open(app, &connection, &err)) {
        ca_checks_fail(out, "configuration", &err);
        ca_checks_remedy(out, "%s", err_code_hint(err.code));
        return;
    }
    ca_checks_add(out, "configuration", true, "%s",
                  config_path(app->config) != NULL ? config_path(app->config) : "options alone");
    check_identity(app, &connection.identity, out);
    if (out->worst == E_NONE) {
        ca_check(connection.ca, out);
    }
}
