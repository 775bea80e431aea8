/* The lines of a connection test, and those that are the same for every CA. */
#include "ca/ca.h"

#include <stdarg.h>
#include <stdio.h>

enum { STEP_NAME, STEP_CONNECTION, STEP_PROXY, STEP_TLS, STEP_HTTP, SOON_S = 14 * 86400 };

void ca_checks_add(struct ca_checks *checks, const char *step, bool ok, const char *fmt, ...)
{
    va_list args;

    if (checks->count == CA_CHECKS_MAX) {
        return;
    }
    struct ca_check *check = &checks->list[checks->count++];
    *check = (struct ca_check){.step = step, .ok = ok};
    va_start(args, fmt);
    (void)vsnprintf(check->detail, sizeof(check->detail), fmt, args);
    va_end(args);
}

void ca_checks_fail(struct ca_checks *checks, const char *step, const struct err *err)
{
    ca_checks_add(checks, step, false, "%s", err->msg);
    checks->worst = checks->worst == E_NONE ? err->code : checks->worst;
}

void ca_checks_warn(struct ca_checks *checks)
{
    if (checks->count > 0) {
        checks->list[checks->count - 1].warning = true;
    }
}

void ca_checks_remedy(struct ca_checks *checks, const char *fmt, ...)
{
    va_list args;

    if (checks->count == 0) {
        return;
    }
    struct ca_check *check = &checks->list[checks->count - 1];
    va_start(args, fmt);
    (void)vsnprintf(check->remedy, sizeof(check->remedy), fmt, args);
    va_end(args);
}

static bool failed(struct ca_checks *out, const char *step, const struct http_probe *probe,
                   const char *remedy)
{
    ca_checks_fail(out, step, &probe->failure);
    ca_checks_remedy(out, "%s", remedy);
    return false;
}

static bool check_way(const struct http_probe *probe, const char *const steps[],
                      struct ca_checks *out)
{
    bool proxied = probe->proxy[0] != '\0';

    if (!probe->resolved) {
        return failed(out, steps[STEP_NAME], probe,
                      proxied ? "correct 'proxy', or see to this machine's name service"
                              : "correct the CA's 'url', see to this machine's name service, or "
                                "name a 'proxy'");
    }
    ca_checks_add(out, steps[STEP_NAME], true, "%s%s", probe->address, proxied ? " (proxy)" : "");
    if (!probe->connected) {
        return failed(out, steps[STEP_CONNECTION], probe,
                      proxied ? "start the proxy, or correct 'proxy'"
                              : "let this machine out through the firewall, or name a 'proxy'");
    }
    ca_checks_add(out, steps[STEP_CONNECTION], true, "%s%s", probe->address,
                  proxied ? " (proxy)" : "");
    if (proxied && !probe->proxy_passed) {
        return failed(out, steps[STEP_PROXY], probe,
                      "correct 'proxy', 'proxy_user', 'proxy_password_source' and 'proxy_auth', or "
                      "have the proxy's rules changed");
    }
    if (proxied) {
        ca_checks_add(out, steps[STEP_PROXY], true, "%s connects us", probe->proxy);
    }
    return true;
}

static const char *tls_remedy(const struct http_probe *probe)
{
    if (probe->cert_asked) {
        return "use a client certificate that the server accepts ('client_cert'), and see that it "
               "is bound to the login in SCM";
    }
    return "see that 'trust' has the CA that issued the server's certificate (a proxy that breaks "
           "TLS open shows one of its own), that 'url' is the name in it, and that the clock is "
           "right";
}

static bool check_tls(const struct http_probe *probe, const char *const steps[], int64_t now_s,
                      struct ca_checks *out)
{
    if (probe->failure.code == E_TLS || !probe->tls) {
        return failed(out, steps[STEP_TLS], probe, tls_remedy(probe));
    }
    ca_checks_add(out, steps[STEP_TLS], true,
                  "server certificate '%.150s' of '%.150s', valid until %s; %s",
                  probe->server_subject, probe->server_issuer, probe->server_not_after,
                  !probe->cert_asked  ? "it did not ask for a client certificate so far"
                  : probe->cert_given ? "it asked for our client certificate and got it"
                                      : "it asked for a client certificate, and we have none");
    if (probe->server_not_after_s != 0 && probe->server_not_after_s - now_s < SOON_S) {
        ca_checks_warn(out);
        ca_checks_remedy(out, "it expires within 14 days; whoever runs the server has to renew it");
    }
    return true;
}

bool ca_check_connection(struct http_client *http, const char *const steps[CA_CONNECTION_STEPS],
                         int64_t now_s, struct ca_checks *out)
{
    struct http_probe probe;

    http_probe(http, &probe);
    if (!check_way(&probe, steps, out) || !check_tls(&probe, steps, now_s, out)) {
        return false;
    }
    if (probe.failure.code != E_NONE) {
        return failed(out, steps[STEP_HTTP], &probe,
                      "see that 'url' is that of the API, and what stands between");
    }
    ca_checks_add(out, steps[STEP_HTTP], true, "the server answers (HTTP/%s)",
                  probe.http2 ? "2" : "1.1");
    out->cert_asked = probe.cert_asked;
    return true;
}
