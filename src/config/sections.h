/* Inside the config folder: sections as lists, and the rows' way into them. */
#ifndef CONFIG_SECTIONS_H
#define CONFIG_SECTIONS_H

#include "config/config.h"

enum { CONFIG_SECTIONS_MAX = 64, CONFIG_OVERRIDES_MAX = 64 };

struct config_override {
    const struct config_key *key;
    char *value;
};

struct config {
    char *path;
    struct config_general general;
    struct config_ca *cas[CONFIG_SECTIONS_MAX];
    size_t ca_count;
    struct config_token *tokens[CONFIG_SECTIONS_MAX];
    size_t token_count;
    struct config_profile *profiles[CONFIG_SECTIONS_MAX];
    size_t profile_count;
    struct config_policy *policies[CONFIG_SECTIONS_MAX];
    size_t policy_count;
    struct config_override overrides[CONFIG_OVERRIDES_MAX];
    size_t override_count;
};

/* keys.c: finds a row, and sets a field of a section from text. */
const struct config_key *config_find_key(enum config_section section, const char *name);
const struct config_key *config_find_option(const char *option);
bool config_set(void *section, const struct config_key *key, const char *value,
                struct err *err) NODISCARD;
bool config_set_defaults(enum config_section section, void *data, struct err *err) NODISCARD;
/* The text of a field that is one; NULL if it is not set. */
const char *config_text_of(const struct config_key *key, const void *section);
void config_free_fields(enum config_section section, void *data);

/* config.c: the section of that name, made if it is not there. */
bool config_section(struct config *config, enum config_section kind, const char *name, void **out,
                    struct err *err) NODISCARD;

#endif
