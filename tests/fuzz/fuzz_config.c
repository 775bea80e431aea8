/* Configuration files: parsed, and a selection made of what they say. */
#include "fuzz/fuzz.h"

#include "config/config.h"

static void select_with(struct config *config, unsigned need)
{
    struct config_choice nothing = {.profile = NULL};
    struct config_selection s;
    struct err err = ERR_INIT;

    if (!config_select(config, &nothing, need, &s, &err)) {
        CHECK_ERR(err);
        return;
    }
    CHECK(s.general != NULL && s.ca != NULL && s.token != NULL && s.profile != NULL);
    CHECK(s.ca->name != NULL && s.token->name != NULL && s.profile->name != NULL);
    CHECK(s.ca->timeout_s >= 0 && s.ca->org_id >= 0 && s.profile->term_days >= 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO(str) char *text = fuzz_text(data, size);
    AUTO(config) struct config *config = NULL;
    struct err err = ERR_INIT;

    if (!config_parse("fuzz.conf", text, &config, &err)) {
        CHECK_ERR(err);
        CHECK(config == NULL);
        return 0;
    }
    select_with(config, 0);
    select_with(config,
                CONFIG_NEED(CONFIG_CA) | CONFIG_NEED(CONFIG_TOKEN) | CONFIG_NEED(CONFIG_PROFILE));
    return 0;
}
