#include "http/transport.h"

#include "base/str.h"

#include <stdio.h>

struct fetching {
    struct http_page *page;
    bool too_long;
};

static size_t take_body(char *data, size_t size, size_t count, void *user)
{
    struct fetching *fetching = user;

    buf_add(fetching->page->body, data, size * count);
    fetching->too_long = !buf_ok(fetching->page->body);
    return fetching->too_long ? 0 : size * count;
}

static int is_stopped(void *user, curl_off_t a UNUSED, curl_off_t b UNUSED, curl_off_t c UNUSED,
                      curl_off_t d UNUSED)
{
    const struct fetching *fetching = user;

    return fetching->page->stop != NULL && *fetching->page->stop ? 1 : 0;
}

static void slist_done(struct curl_slist *list)
{
    curl_slist_free_all(list);
}

DEFINE_AUTO(slist, struct curl_slist *, slist_done)
DEFINE_AUTO(easy, CURL *, curl_easy_cleanup)

/* (libcurl's macro wants literals; one failure is as good as another) */
#define SET(option, value) (curl_easy_setopt(easy, option, value) == CURLE_OK)

static bool set_options(CURL *easy, struct fetching *fetching, struct curl_slist *connect_to,
                        char *error_text)
{
    const struct http_page *page = fetching->page;

    return SET(CURLOPT_URL, page->url) && SET(CURLOPT_PROTOCOLS_STR, "http,https") &&
           SET(CURLOPT_FOLLOWLOCATION, 0L) && SET(CURLOPT_NOSIGNAL, 1L) &&
           SET(CURLOPT_ERRORBUFFER, error_text) && SET(CURLOPT_USERAGENT, "p11enroll") &&
           SET(CURLOPT_TIMEOUT_MS, (long)page->timeout_ms) && SET(CURLOPT_PROXY, "") &&
           SET(CURLOPT_NOPROXY, "") && SET(CURLOPT_WRITEFUNCTION, take_body) &&
           SET(CURLOPT_WRITEDATA, fetching) && SET(CURLOPT_NOPROGRESS, 0L) &&
           SET(CURLOPT_XFERINFOFUNCTION, is_stopped) && SET(CURLOPT_XFERINFODATA, fetching) &&
           SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2) &&
           SET(CURLOPT_FRESH_CONNECT, 1L) && SET(CURLOPT_CONNECT_TO, connect_to) &&
           (page->trust_path == NULL ||
            (SET(CURLOPT_CAPATH, NULL) && SET(CURLOPT_CAINFO, page->trust_path)));
}

static bool failed(const struct fetching *fetching, CURL *easy, CURLcode rc, const char *text,
                   struct err *err)
{
    const char *why = text[0] != '\0' ? text : curl_easy_strerror(rc);

    if (rc == CURLE_ABORTED_BY_CALLBACK) {
        return err_set(err, E_INTERRUPTED, "interrupted");
    }
    if (fetching->too_long) {
        return err_set(err, E_PROTOCOL, "the page is longer than %zu bytes",
                       fetching->page->body->max);
    }
    return rc == CURLE_PEER_FAILED_VERIFICATION
               ? http_tls_distrusted(easy, fetching->page->url, fetching->page->trust_path, why,
                                     err)
               : err_set_native(err, E_NETWORK, (unsigned long)rc, "%s", why);
}

bool http_fetch(struct http_page *page, struct err *err)
{
    AUTO(easy) CURL *easy = curl_easy_init();
    AUTO(slist) struct curl_slist *connect_to = NULL;
    struct fetching fetching = {.page = page};
    char error_text[CURL_ERROR_SIZE] = "";
    long status = 0;

    if (page->connect_to != NULL) {
        AUTO(buf) struct buf to = BUF_INIT(512);
        buf_addf(&to, "::%s", page->connect_to);
        connect_to = curl_slist_append(NULL, buf_str(&to));
        if (connect_to == NULL || !buf_ok(&to)) {
            return err_nomem(err);
        }
    }
    if (easy == NULL || !set_options(easy, &fetching, connect_to, error_text)) {
        return err_set(err, E_INTERNAL, "libcurl does not take an option");
    }
    CURLcode rc = curl_easy_perform(easy);
    if (rc != CURLE_OK) {
        return failed(&fetching, easy, rc, error_text, err);
    }
    (void)curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    page->status = (int)status;
    return true;
}
