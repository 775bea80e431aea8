#include "dcv/dns.h"

#include "base/str.h"
#include "http/http.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

enum { FILE_MAX = 64 * 1024, QUOTED = 80 };

/* Line by line, so that line ends do not matter; what follows the last line does not either. */
static bool same_lines(const char *text, const char *wanted)
{
    while (*wanted != '\0') {
        size_t len = strcspn(wanted, "\n");
        size_t got = strcspn(text, "\r\n");
        if (got != len || strncmp(text, wanted, len) != 0) {
            return false;
        }
        wanted += len + (wanted[len] == '\n' ? 1 : 0);
        text += got;
        text += *text == '\r' ? 1 : 0;
        text += *text == '\n' ? 1 : 0;
    }
    return true;
}

bool dcv_web_visible(const struct dcv_look *look, const struct dcv_record *record, bool *seen,
                     struct buf *why, struct err *err)
{
    AUTO(buf) struct buf body = BUF_INIT(FILE_MAX);
    struct http_page page = {.url = record->url,
                             .connect_to = look->web_server,
                             .trust_path = look->web_trust,
                             .timeout_ms = look->timeout_ms,
                             .stop = look->stop,
                             .body = &body};
    struct err failure = ERR_INIT;

    *seen = false;
    if (!http_fetch(&page, &failure)) {
        if (failure.code == E_INTERRUPTED) {
            *err = failure;
            return false;
        }
        buf_addf(why, "%s: %s", record->url, failure.msg);
        return true;
    }
    *seen = page.status == 200 && same_lines(buf_str(&body), record->value);
    if (!*seen && page.status != 200) {
        buf_addf(why, "%s: HTTP %d%s", record->url, page.status,
                 page.status >= 300 && page.status < 400 ? ", and redirects are not followed" : "");
    } else if (!*seen) {
        buf_addf(why, "%s says '", record->url);
        str_add_quotable(why, buf_str(&body), body.len, QUOTED);
        buf_add_str(why, "'");
    }
    return true;
}

/* "192.0.2.1:8080", "[2001:db8::1]:80", "www.example.org:80": what stands behind the last colon is
 * a port. */
static bool check_web_server(const char *text, struct err *err)
{
    const char *colon = strrchr(text, ':');
    int port = 0;

    return (colon != NULL && colon > text && str_to_int(colon + 1, 1, 65535, &port) &&
            strpbrk(text, " /,@") == NULL) ||
           err_set(err, E_CONFIG, "web server: '%.60s' is not HOST:PORT", text);
}

/* libcurl says of a file that is missing no more than of a certificate that is not trusted. */
static bool check_trust(const char *path, struct err *err)
{
    return access(path, R_OK) == 0 || err_set_errno(err, E_CONFIG, errno, "web_trust: %s", path);
}

bool dcv_look_check(const struct dcv_look *look, struct err *err)
{
    AUTO(dns_servers) struct dns_servers *servers = calloc(1, sizeof(*servers));

    if (servers == NULL) {
        return err_nomem(err);
    }
    return (look->dns_servers == NULL || dns_servers_parse(look->dns_servers, servers, err)) &&
           (look->web_server == NULL || check_web_server(look->web_server, err)) &&
           (look->web_trust == NULL || check_trust(look->web_trust, err));
}

bool dcv_visible(const struct dcv_look *look, const struct dcv_record *record, bool *seen,
                 struct buf *why, struct err *err)
{
    return record->kind == DCV_FILE ? dcv_web_visible(look, record, seen, why, err)
                                    : dcv_dns_visible(look, record, seen, why, err);
}
