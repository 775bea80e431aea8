#include "http/http.h"

#include "base/str.h"

#include <curl/curl.h>

enum { FIRST_MS = 1000, MOST_MS = 30000, RETRY_AFTER_MOST_S = 120, DAY_S = 86400 };

enum http_verdict http_judge(int status)
{
    switch (status) {
    case 408:
    case 425:
    case 429:
    case 500:
    case 502:
    case 503:
    case 504:
        return HTTP_RETRY;
    default:
        return HTTP_FINAL;
    }
}

int64_t http_retry_after_s(const char *text, int64_t now_s)
{
    uint64_t seconds = 0;

    if (str_to_u64(text, DAY_S, &seconds)) {
        return seconds > 0 ? (int64_t)seconds : -1;
    }
    int64_t at_s = text[0] >= '0' && text[0] <= '9' ? -1 : (int64_t)curl_getdate(text, NULL);
    return at_s > now_s && at_s - now_s <= DAY_S ? at_s - now_s : -1;
}

int64_t http_retry_delay_ms(int attempt, int64_t retry_after_s, uint32_t random)
{
    int64_t delay = FIRST_MS;

    if (retry_after_s >= 0) {
        int64_t bounded = retry_after_s < RETRY_AFTER_MOST_S ? retry_after_s : RETRY_AFTER_MOST_S;
        return bounded * 1000;
    }
    for (int i = 1; i < attempt && delay < MOST_MS; i++) {
        delay *= 2;
    }
    delay = delay < MOST_MS ? delay : MOST_MS;
    /* 80 % to 120 %, so that clients that failed together do not come back together */
    return delay * 4 / 5 + delay * (int64_t)(random % 401) / 1000;
}
