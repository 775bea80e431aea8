#include "config/sections.h"

#include "base/str.h"

#include <stdlib.h>

static const char *const section_words[CONFIG_SECTIONS] = {
    [CONFIG_GENERAL] = "p11enroll", [CONFIG_CA] = "ca",         [CONFIG_TOKEN] = "token",
    [CONFIG_PROFILE] = "profile",   [CONFIG_POLICY] = "policy",
};

/* One list of sections, whatever their type: the name is every struct's first member. */
struct list {
    void **items;
    size_t *count;
    size_t size;
};

static struct list list_of(struct config *c, enum config_section kind)
{
    switch (kind) {
    case CONFIG_CA:
        return (struct list){(void **)c->cas, &c->ca_count, sizeof(struct config_ca)};
    case CONFIG_TOKEN:
        return (struct list){(void **)c->tokens, &c->token_count, sizeof(struct config_token)};
    case CONFIG_POLICY:
        return (struct list){(void **)c->policies, &c->policy_count, sizeof(struct config_policy)};
    case CONFIG_PROFILE:
    case CONFIG_GENERAL: /* there is one of it; nobody asks for a list */
    case CONFIG_SECTIONS:
        break;
    }
    return (struct list){(void **)c->profiles, &c->profile_count, sizeof(struct config_profile)};
}

static const char *name_of(const void *section)
{
    return *(char *const *)section;
}

static void free_section(enum config_section kind, void *section)
{
    if (section != NULL) {
        config_free_fields(kind, section);
        free(*(char **)section);
        free(section);
    }
}

static void *new_section(enum config_section kind, const char *name, size_t size, struct err *err)
{
    void *section = calloc(1, size);

    if (section == NULL) {
        (void)err_nomem(err);
        return NULL;
    }
    *(char **)section = str_dup(name);
    if (*(char **)section == NULL || !config_set_defaults(kind, section, err)) {
        free_section(kind, section);
        return NULL;
    }
    return section;
}

static void *find_named(const struct list *list, const char *name)
{
    for (size_t i = 0; i < *list->count; i++) {
        if (str_equal(name_of(list->items[i]), name)) {
            return list->items[i];
        }
    }
    return NULL;
}

bool config_section(struct config *config, enum config_section kind, const char *name, void **out,
                    struct err *err)
{
    struct list list = list_of(config, kind);
    void *section = find_named(&list, name);

    if (section == NULL) {
        if (*list.count == CONFIG_SECTIONS_MAX) {
            return err_set(err, E_CONFIG, "more than %d sections of one kind", CONFIG_SECTIONS_MAX);
        }
        section = new_section(kind, name, list.size, err);
        if (section == NULL) {
            return false;
        }
        list.items[(*list.count)++] = section;
    }
    *out = section;
    return true;
}

void config_free(struct config *config)
{
    static const enum config_section kinds[] = {CONFIG_CA, CONFIG_TOKEN, CONFIG_PROFILE,
                                                CONFIG_POLICY};

    if (config == NULL) {
        return;
    }
    for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
        struct list list = list_of(config, kinds[k]);
        for (size_t i = 0; i < *list.count; i++) {
            free_section(kinds[k], list.items[i]);
        }
    }
    config_free_fields(CONFIG_GENERAL, &config->general);
    for (size_t i = 0; i < config->override_count; i++) {
        free(config->overrides[i].value);
    }
    free(config->path);
    free(config);
}

const char *config_path(const struct config *config)
{
    return config->path;
}

bool config_override(struct config *config, const char *option, const char *value, struct err *err)
{
    const struct config_key *key = config_find_option(option);

    if (key == NULL) {
        return err_set(err, E_USAGE, "there is no option --%s", option);
    }
    if (config->override_count == CONFIG_OVERRIDES_MAX) {
        return err_set(err, E_USAGE, "more than %d options", CONFIG_OVERRIDES_MAX);
    }
    char *copy = str_dup(value);
    if (copy == NULL) {
        return err_nomem(err);
    }
    config->overrides[config->override_count++] =
        (struct config_override){.key = key, .value = copy};
    return true;
}

void config_move_overrides(struct config *to, struct config *from)
{
    for (size_t i = 0; i < from->override_count && to->override_count < CONFIG_OVERRIDES_MAX; i++) {
        to->overrides[to->override_count++] = from->overrides[i];
    }
    from->override_count = 0;
}

static bool apply_overrides(struct config *config, enum config_section kind, void *section,
                            struct err *err)
{
    for (size_t i = 0; i < config->override_count; i++) {
        const struct config_override *o = &config->overrides[i];
        if (o->key->section != kind) {
            continue;
        }
        if (!config_set(section, o->key, o->value, err)) {
            return err_wrap(err, "--%s", o->key->option);
        }
        if (kind == CONFIG_TOKEN && str_equal(o->key->name, "pin_source")) {
            ((struct config_token *)section)->pin_source_is_option = true;
        }
        if (kind == CONFIG_CA && str_equal(o->key->name, "org_id")) {
            ((struct config_ca *)section)->org_id_is_option = true;
        }
        if (kind == CONFIG_PROFILE && str_equal(o->key->name, "issuer_roots")) {
            ((struct config_profile *)section)->issuer_roots_is_option = true;
        }
    }
    return true;
}

static void add_section_names(const struct list *list, struct buf *out)
{
    for (size_t i = 0; i < *list->count; i++) {
        buf_addf(out, "%s%s", i > 0 ? ", " : "", name_of(list->items[i]));
    }
}

/* The name of a section that nobody wrote. */
static const char no_section[] = "(none)";

/* The section named by the first of the names that is set; else the only one; else an empty one. */
static bool choose(struct config *config, enum config_section kind, bool needed,
                   const char *const names[], size_t name_count, void **out, struct err *err)
{
    struct list list = list_of(config, kind);
    AUTO(buf) struct buf known = BUF_INIT(4096);

    for (size_t i = 0; i < name_count; i++) {
        if (names[i] == NULL) {
            continue;
        }
        *out = find_named(&list, names[i]);
        if (*out != NULL) {
            return apply_overrides(config, kind, *out, err);
        }
        add_section_names(&list, &known);
        return err_set(err, E_CONFIG, "there is no section [%s:%s]%s%s", section_words[kind],
                       names[i], known.len > 0 ? "; there are: " : "", buf_str(&known));
    }
    if (*list.count > 1 && needed) {
        add_section_names(&list, &known);
        return err_set(err, E_CONFIG,
                       "several %s sections are configured (%s) and none is named; use --%s or "
                       "'%s = NAME' in [p11enroll]",
                       section_words[kind], buf_str(&known), section_words[kind],
                       section_words[kind]);
    }
    if (*list.count == 1) {
        *out = list.items[0];
    } else if (!config_section(config, kind, no_section, out, err)) {
        return false;
    }
    return apply_overrides(config, kind, *out, err);
}

static bool is_needed(unsigned need, enum config_section kind)
{
    return (need & CONFIG_NEED(kind)) != 0;
}

bool config_select(struct config *config, const struct config_choice *choice, unsigned need,
                   struct config_selection *out, struct err *err)
{
    const char *profiles[] = {choice->profile, config->general.profile};
    void *profile = NULL;
    void *ca = NULL;
    void *token = NULL;

    if (!apply_overrides(config, CONFIG_GENERAL, &config->general, err) ||
        !choose(config, CONFIG_PROFILE, is_needed(need, CONFIG_PROFILE), profiles,
                ARRAY_LEN(profiles), &profile, err)) {
        return false;
    }
    const struct config_profile *p = profile;
    const char *cas[] = {choice->ca, p->ca, config->general.ca};
    const char *tokens[] = {choice->token, p->token, config->general.token};
    if (!choose(config, CONFIG_CA, is_needed(need, CONFIG_CA), cas, ARRAY_LEN(cas), &ca, err) ||
        !choose(config, CONFIG_TOKEN, is_needed(need, CONFIG_TOKEN), tokens, ARRAY_LEN(tokens),
                &token, err)) {
        return false;
    }
    /* Said once for a command; sections that are chosen later keep it. */
    for (size_t i = 0; choice->try_pin_again && i < config->token_count; i++) {
        config->tokens[i]->try_pin_again = true;
    }
    *out = (struct config_selection){
        .general = &config->general, .profile = profile, .ca = ca, .token = token};
    return true;
}

const char *config_token_section(const struct config_token *token)
{
    return str_equal(token->name, no_section) ? NULL : token->name;
}

const struct config_token *config_token_at(const struct config *config, size_t i)
{
    return i < config->token_count ? config->tokens[i] : NULL;
}

bool config_token_named(const struct config *config, const char *name,
                        const struct config_token **out, struct err *err)
{
    for (size_t i = 0; i < config->token_count; i++) {
        if (str_equal(config->tokens[i]->name, name)) {
            *out = config->tokens[i];
            return true;
        }
    }
    return err_set(err, E_CONFIG, "there is no section [token:%s]", name);
}

const struct config_policy *config_policy_named(const struct config *config, const char *name)
{
    for (size_t i = 0; i < config->policy_count; i++) {
        if (str_equal(config->policies[i]->name, name)) {
            return config->policies[i];
        }
    }
    return NULL;
}

void config_policy_text(const struct config_policy *policy, struct buf *out)
{
    const struct config_key *key = NULL;

    for (size_t i = 0; (key = config_key_at(i)) != NULL; i++) {
        const char *value = key->section == CONFIG_POLICY ? config_text_of(key, policy) : NULL;
        if (value != NULL) {
            buf_addf(out, "%s = %s\n", key->name, value);
        }
    }
}
