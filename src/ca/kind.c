#include "ca/ca.h"

#include "base/str.h"

static const char *const kind_names[CA_KINDS] = {"ssl", "device", "smime"};

const char *ca_kind_name(enum ca_kind kind)
{
    return kind_names[kind];
}

bool ca_kind_parse(const char *name, enum ca_kind *out)
{
    for (int i = 0; i < CA_KINDS; i++) {
        if (str_equal(kind_names[i], name != NULL ? name : "ssl")) {
            *out = (enum ca_kind)i;
            return true;
        }
    }
    return false;
}
