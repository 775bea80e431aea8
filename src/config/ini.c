#include "config/sections.h"

#include "base/file.h"
#include "base/str.h"

#include <ini.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FILE_MAX = 1 << 20, LINE_MAX_BYTES = 16384 };

/* inih cuts longer names without a word. */
enum { INIH_NAME_MAX = 49 };

struct parsing {
    struct config *config;
    const char *dir; /* of the file; NULL: paths stay as they are */
    struct err *err;
    const char *text; /* what inih has not read yet */
    int line;         /* number of the line that inih is at */
};

static bool long_name(struct err *err)
{
    return err_set(err, E_CONFIG, "names of sections and settings have at most %d characters",
                   INIH_NAME_MAX - 1);
}

static bool find_section(struct config *config, const char *section, enum config_section *kind,
                         void **data, struct err *err);

/* inih calls back for settings only, so a section comes to exist here: one without settings counts
 * too, and a misspelt one is noticed even if it is empty. */
static bool open_section(struct parsing *p, const char *line)
{
    enum config_section kind = CONFIG_GENERAL;
    void *data = NULL;
    const char *begin = line + strspn(line, " \t\r");
    const char *end = *begin == '[' ? strchr(begin, ']') : NULL;

    if (end == NULL) {
        return true;
    }
    if ((size_t)(end - begin - 1) >= INIH_NAME_MAX) {
        return long_name(p->err);
    }
    if (end[1 + strspn(end + 1, " \t\r\n")] != '\0') { /* inih would pass over it */
        return err_set(p->err, E_CONFIG, "there is text behind [%.*s]", (int)(end - begin - 1),
                       begin + 1);
    }
    AUTO(str) char *name = str_ndup(begin + 1, (size_t)(end - begin - 1));
    if (name == NULL) {
        return err_nomem(p->err);
    }
    return find_section(p->config, name, &kind, &data, p->err);
}

/* Hands one line after the other to inih, so that the line number is known. */
static char *next_line(char *line, int room, void *ctx)
{
    struct parsing *p = ctx;
    size_t len = strcspn(p->text, "\n");
    bool has_newline = p->text[len] == '\n';

    if (p->text[0] == '\0' || p->err->code != E_NONE) {
        return NULL;
    }
    size_t take = len + (has_newline ? 1 : 0);
    if (take >= (size_t)room) {
        take = (size_t)room - 1;
    }
    memcpy(line, p->text, take);
    line[take] = '\0';
    p->text += take;
    p->line++;
    return open_section(p, line) ? line : NULL;
}

static const struct {
    const char *prefix;
    enum config_section section;
} named_sections[] = {
    {"ca:", CONFIG_CA},
    {"token:", CONFIG_TOKEN},
    {"profile:", CONFIG_PROFILE},
    {"policy:", CONFIG_POLICY},
};

static bool find_section(struct config *config, const char *section, enum config_section *kind,
                         void **data, struct err *err)
{
    if (str_equal(section, "p11enroll")) {
        *kind = CONFIG_GENERAL;
        *data = &config->general;
        return true;
    }
    for (size_t i = 0; i < ARRAY_LEN(named_sections); i++) {
        const char *prefix = named_sections[i].prefix;
        if (str_starts_with(section, prefix) && section[strlen(prefix)] != '\0') {
            *kind = named_sections[i].section;
            return config_section(config, *kind, section + strlen(prefix), data, err);
        }
    }
    if (section[0] == '\0') {
        return err_set(err, E_CONFIG,
                       "settings stand in a section: [p11enroll], [ca:NAME], "
                       "[token:NAME], [profile:NAME] or [policy:NAME]");
    }
    return err_set(err, E_CONFIG,
                   "there is no section [%s]; sections are [p11enroll], [ca:NAME], "
                   "[token:NAME], [profile:NAME] and [policy:NAME]",
                   section);
}

static bool is_path(const struct config_key *key, const char *value)
{
    bool path_type = str_starts_with(key->argument, "FILE") || str_equal(key->argument, "DIR");

    return path_type && value[0] != '/' && !str_starts_with_nocase(value, "pkcs11:");
}

/* A relative path made absolute, also behind "file:"; other values as they are. free() it. */
static char *resolve(const struct config_key *key, const char *dir, const char *value)
{
    static const char file[] = "file:";
    char *resolved = NULL;

    if (dir != NULL && value[0] != '\0' && is_path(key, value)) {
        return file_join(dir, value);
    }
    if (dir != NULL && str_equal(key->argument, "SOURCE") && str_starts_with(value, file) &&
        value[strlen(file)] != '/') {
        return asprintf(&resolved, "%s%s/%s", file, dir, value + strlen(file)) < 0 ? NULL
                                                                                   : resolved;
    }
    return str_dup(value);
}

static bool take_setting(struct config *config, const char *dir, const char *section,
                         const char *name, const char *value, struct err *err)
{
    enum config_section kind = CONFIG_GENERAL;
    void *data = NULL;

    if (strlen(section) >= INIH_NAME_MAX || strlen(name) >= INIH_NAME_MAX) {
        return long_name(err);
    }
    if (!find_section(config, section, &kind, &data, err)) {
        return false;
    }
    const struct config_key *key = config_find_key(kind, name);
    if (key == NULL) {
        return err_set(err, E_CONFIG, "[%s] has no setting '%s'", section, name);
    }
    AUTO(str) char *resolved = resolve(key, dir, value);
    if (resolved == NULL) {
        return err_nomem(err);
    }
    if (!config_set(data, key, resolved, err)) {
        err->code = E_CONFIG;
        return err_wrap(err, "%s", name);
    }
    return true;
}

static int on_setting(void *user, const char *section, const char *name, const char *value)
{
    struct parsing *p = user;

    if (p->err->code != E_NONE) {
        return 0;
    }
    return take_setting(p->config, p->dir, section, name, value != NULL ? value : "", p->err) ? 1
                                                                                              : 0;
}

/* inih's settings are variables of the library; these make it strict. */
static void set_up_inih(void)
{
    ini_use_stack = false;
    ini_max_line = LINE_MAX_BYTES;
    ini_initial_alloc = LINE_MAX_BYTES;
    ini_allow_multiline = false;
    ini_allow_inline_comments = false; /* a ';' belongs to a PKCS#11 URI */
    ini_stop_on_first_error = true;
}

static bool lines_fit(const char *text, struct err *err)
{
    int line = 1;

    for (const char *p = text; *p != '\0'; p += strcspn(p, "\n"), p += *p == '\n' ? 1 : 0, line++) {
        if (strcspn(p, "\n") >= LINE_MAX_BYTES - 2) {
            return err_set(err, E_CONFIG, "line %d is longer than %d characters", line,
                           LINE_MAX_BYTES - 3);
        }
    }
    return true;
}

static bool parse(const char *name, const char *dir, const char *text, struct config **out,
                  struct err *err)
{
    AUTO(config) struct config *config = calloc(1, sizeof(*config));

    if (config == NULL) {
        return err_nomem(err);
    }
    err_clear(err);
    if (!config_set_defaults(CONFIG_GENERAL, &config->general, err)) {
        return false;
    }
    if (!lines_fit(text, err)) {
        return err_wrap(err, "%s", name);
    }
    struct parsing parsing = {.config = config, .dir = dir, .err = err, .text = text, .line = 0};
    set_up_inih();
    int bad_line = ini_parse_stream(next_line, &parsing, on_setting, &parsing);
    if (err->code != E_NONE) {
        return err_wrap(err, "%s, line %d", name, parsing.line);
    }
    if (bad_line != 0) {
        return err_set(err, E_CONFIG, "%s, line %d: neither a [section] nor a setting = value",
                       name, bad_line > 0 ? bad_line : parsing.line);
    }
    *out = TAKE(config);
    return true;
}

bool config_parse(const char *name, const char *text, struct config **out, struct err *err)
{
    return parse(name, NULL, text, out, err);
}

/* Where a file is, as an absolute path. free() it. */
static char *directory_of(const char *path)
{
    AUTO(str) char *real = realpath(path, NULL);
    char *slash = real != NULL ? strrchr(real, '/') : NULL;

    return slash == NULL ? NULL : str_ndup(real, slash == real ? 1 : (size_t)(slash - real));
}

static char *user_path(void)
{
    const char *base = getenv("XDG_CONFIG_HOME");
    const char *home = getenv("HOME");

    if (base != NULL && base[0] == '/') {
        return file_join(base, "p11enroll/p11enroll.conf");
    }
    return home != NULL && home[0] == '/' ? file_join(home, ".config/p11enroll/p11enroll.conf")
                                          : NULL;
}

static const char system_path[] = "/etc/p11enroll/p11enroll.conf";

char *config_places(void)
{
    AUTO(str) char *user = user_path();
    AUTO(buf) struct buf out = BUF_INIT(FILE_MAX);

    buf_addf(&out, "%s%s%s%s", user != NULL ? "neither " : "", user != NULL ? user : "",
             user != NULL ? " nor " : "no ", system_path);
    return buf_take_str(&out);
}

/* The default file that exists; NULL if there is none. */
static char *default_path(void)
{
    AUTO(str) char *user = user_path();

    if (user != NULL && file_exists(user)) {
        return TAKE(user);
    }
    return file_exists(system_path) ? str_dup(system_path) : NULL;
}

bool config_read(const char *path, struct config **out, struct err *err)
{
    AUTO(str) char *chosen = path != NULL ? str_dup(path) : default_path();
    AUTO(buf) struct buf text = BUF_INIT(FILE_MAX);

    if (chosen == NULL) {
        return config_parse("(no configuration file)", "", out, err);
    }
    if (!file_read(chosen, &text, err)) {
        err->code = E_CONFIG;
        return err_wrap(err, "configuration");
    }
    if (memchr(buf_str(&text), '\0', text.len) != NULL) {
        return err_set(err, E_CONFIG, "%s contains a NUL byte", chosen);
    }
    AUTO(str) char *dir = directory_of(chosen);
    if (!parse(chosen, dir, buf_str(&text), out, err)) {
        return false;
    }
    (*out)->path = TAKE(chosen);
    return true;
}
