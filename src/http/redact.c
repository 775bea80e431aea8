#include "http/http.h"

#include "base/str.h"

bool http_header_is_public(const char *name)
{
    static const char *const names[] = {
        "accept",     "content-type", "content-length", "customeruri",        "login",
        "user-agent", "host",         "retry-after",    "location",           "date",
        "server",     "connection",   "x-total-count",  "content-disposition"};

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (str_equal_nocase(names[i], name)) {
            return true;
        }
    }
    return false;
}
