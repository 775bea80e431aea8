#include "ca/scm/scm.h"

#include "base/str.h"

#include <string.h>
#include <strings.h>

/* WWW-Authenticate: Bearer realm="...", authorization_uri="https://..." (RFC 6750 section 3) */
bool scm_authorization_uri(const char *header, struct buf *out)
{
    static const char name[] = "authorization_uri=";
    const char *at = strcasestr(header, name);

    if (at == NULL || (at > header && strchr(" ,\t", at[-1]) == NULL)) {
        return false;
    }
    at += strlen(name);
    bool quoted = *at == '"';
    at += quoted ? 1 : 0;
    size_t len = strcspn(at, quoted ? "\"" : "\", \t");
    if ((at[len] == '"') != quoted) { /* one quote of two, or none */
        return false;
    }
    buf_add(out, at, len);
    return len > 0 && buf_ok(out);
}

bool scm_wants_bearer(const char *header)
{
    static const char scheme[] = "Bearer";

    for (const char *at = strcasestr(header, scheme); at != NULL; at = strcasestr(at + 1, scheme)) {
        const char *end = at + strlen(scheme);
        if ((at == header || strchr(" ,\t", at[-1]) != NULL) &&
            (*end == '\0' || strchr(" ,\t", *end) != NULL)) {
            return true;
        }
    }
    return false;
}

bool scm_split_url(const char *url, struct buf *origin, struct buf *host, struct buf *path)
{
    static const char scheme[] = "https://";

    if (strncasecmp(url, scheme, strlen(scheme)) != 0) {
        return false;
    }
    const char *authority = url + strlen(scheme);
    size_t len = strcspn(authority, "/?#");
    size_t host_len = strcspn(authority, ":/?#");
    if (len == 0 || host_len == 0 || memchr(authority, '@', len) != NULL || authority[len] != '/' ||
        strchr(authority + len, '#') != NULL) {
        return false;
    }
    buf_add_str(origin, scheme);
    buf_add(origin, authority, len);
    buf_add(host, authority, host_len);
    buf_add_str(path, authority + len);
    return buf_ok(origin) && buf_ok(host) && buf_ok(path);
}

bool scm_host_in(const char *host, const char *list)
{
    size_t len = strlen(host);

    while (list != NULL && *list != '\0') {
        list += strspn(list, ", \t");
        size_t word = strcspn(list, ", \t");
        if (word == len && word > 0 && strncasecmp(list, host, len) == 0) {
            return true;
        }
        list += word;
    }
    return false;
}
