/* Configuration files: parsed, a selection made of what they say, and a setting put into them. */
#include "fuzz/fuzz.h"

#include "config/config.h"

#include <string.h>

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

/* Whatever the file is like: what is put in is what is read back, and once more changes nothing. */
static void edit(const char *text)
{
    static const struct config_change change = {"eab_kid", "0123456789"};
    struct config_choice choice = {.ca = "a"};
    AUTO(buf) struct buf once = BUF_INIT(1 << 20);
    AUTO(buf) struct buf twice = BUF_INIT(1 << 20);
    AUTO(config) struct config *config = NULL;
    struct config_selection s;
    struct err err = ERR_INIT;

    if (!config_edit(text, "ca:a", &change, 1, true, &once, &err)) {
        CHECK_ERR(err);
        return;
    }
    CHECK(config_parse("fuzz.conf", buf_str(&once), &config, &err));
    if (config_select(config, &choice, CONFIG_NEED(CONFIG_CA), &s, &err)) {
        CHECK(s.ca->eab_kid != NULL && strcmp(s.ca->eab_kid, change.value) == 0);
    }
    CHECK(config_edit(buf_str(&once), "ca:a", &change, 1, true, &twice, &err));
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
    edit(text);
    select_with(config, 0);
    select_with(config,
                CONFIG_NEED(CONFIG_CA) | CONFIG_NEED(CONFIG_TOKEN) | CONFIG_NEED(CONFIG_PROFILE));
    return 0;
}
