#include "app/app.h"

bool app_policy(const struct config *config, const char *name, struct buf *text,
                struct keystore_policy *out, struct err *err)
{
    const struct config_policy *section = name != NULL ? config_policy_named(config, name) : NULL;

    *out = (struct keystore_policy){.name = name};
    if (section == NULL) {
        return true;
    }
    config_policy_text(section, text);
    out->text = buf_str(text);
    return buf_ok(text) || err_nomem(err);
}

bool app_check_kind(const struct config_ca *ca, const char *kind, struct err *err)
{
    return !ca->public_trust || !keystore_kind_is_private(kind) ||
           err_set(err, E_POLICY,
                   "%s keys get no publicly trusted certificate; choose another 'key_type', or, if "
                   "[ca:%s] is a private CA, set 'public_trust = no' there",
                   kind, ca->name);
}
