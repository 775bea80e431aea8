/* Settings put into the text of a file; comments and everything else stay as they are. */
#include "config/config.h"

#include "base/file.h"
#include "base/str.h"

#include <stdlib.h>
#include <string.h>

enum { FILE_MAX = 1 << 20 };

static const char blanks[] = " \t\r\n\v\f";

/* A line without its end. */
struct line {
    const char *text;
    size_t len;
};

static struct line line_at(const char *text)
{
    return (struct line){.text = text, .len = strcspn(text, "\n")};
}

static struct line trimmed(struct line line)
{
    while (line.len > 0 && strchr(blanks, line.text[0]) != NULL) {
        line.text++;
        line.len--;
    }
    while (line.len > 0 && strchr(blanks, line.text[line.len - 1]) != NULL) {
        line.len--;
    }
    return line;
}

static bool is_text(struct line line, const char *text)
{
    return line.len == strlen(text) && memcmp(line.text, text, line.len) == 0;
}

static bool is_header(struct line line)
{
    return trimmed(line).len > 0 && trimmed(line).text[0] == '[';
}

static bool is_header_of(struct line line, const char *section)
{
    struct line inside = trimmed(line);

    if (inside.len < 2 || inside.text[0] != '[' || inside.text[inside.len - 1] != ']') {
        return false;
    }
    inside.text++;
    inside.len -= 2;
    return is_text(inside, section);
}

/* The name in front of '=' or ':'; empty for what is no setting. */
static struct line name_in(struct line line)
{
    struct line name = trimmed(line);
    size_t len = 0;

    if (name.len == 0 || strchr("#;[", name.text[0]) != NULL) {
        name.len = 0;
        return name;
    }
    while (len < name.len && name.text[len] != '=' && name.text[len] != ':') {
        len++;
    }
    name.len = len < name.len ? len : 0;
    return trimmed(name);
}

/* Which change a line is about; count: none. */
static size_t change_of(struct line line, const struct config_change changes[], size_t count)
{
    struct line name = name_in(line);
    size_t i = 0;

    while (i < count && !is_text(name, changes[i].key)) {
        i++;
    }
    return i;
}

static const char *next_line(struct line line)
{
    return line.text + line.len + (line.text[line.len] == '\n' ? 1 : 0);
}

/* Where new settings go: behind the section's last setting, or its header. NULL: no such section;
 * *found: the key that is there already. */
static const char *place_of(const char *text, const char *section,
                            const struct config_change changes[], size_t count, const char **found)
{
    const char *place = NULL;
    bool inside = false;

    for (const char *p = text; *p != '\0';) {
        struct line line = line_at(p);
        p = next_line(line);
        inside = is_header(line) ? is_header_of(line, section) : inside;
        if (inside && (is_header(line) || name_in(line).len > 0)) {
            size_t at = change_of(line, changes, count);
            *found = at < count ? changes[at].key : *found;
            place = p;
        }
    }
    return place;
}

static bool is_one_line(const char *value)
{
    size_t len = strlen(value);

    return len > 0 && str_is_printable((const uint8_t *)value, len) && value[0] != ' ' &&
           value[len - 1] != ' ';
}

/* Copies what is before or behind the place, without the settings that are made anew. */
static void copy_range(const char *from, const char *to, const char *section,
                       const struct config_change changes[], size_t count, bool *inside,
                       struct buf *out)
{
    while (from < to) {
        struct line line = line_at(from);
        from = next_line(line);
        *inside = is_header(line) ? is_header_of(line, section) : *inside;
        if (!*inside || change_of(line, changes, count) == count) {
            buf_add(out, line.text, (size_t)(from - line.text));
        }
    }
}

bool config_edit(const char *text, const char *section, const struct config_change changes[],
                 size_t count, bool replace, struct buf *out, struct err *err)
{
    AUTO(config) struct config *edited = NULL;
    const char *found = NULL;
    bool inside = false;

    for (size_t i = 0; i < count; i++) {
        if (!is_one_line(changes[i].value)) {
            return err_set(err, E_USAGE, "%s: what should stand there does not fit into a line",
                           changes[i].key);
        }
    }
    const char *place = place_of(text, section, changes, count, &found);
    if (place == NULL) {
        return err_set(err, E_CONFIG, "there is no section [%s]; write one with its other settings",
                       section);
    }
    if (found != NULL && !replace) {
        return err_set(err, E_OBJECT_EXISTS, "[%s] has the setting '%s' already", section, found);
    }
    copy_range(text, place, section, changes, count, &inside, out);
    buf_add_str(out, place[-1] == '\n' ? "" : "\n");
    for (size_t i = 0; i < count; i++) {
        buf_addf(out, "%s = %s\n", changes[i].key, changes[i].value);
    }
    copy_range(place, text + strlen(text), section, changes, count, &inside, out);
    if (!buf_ok(out)) {
        return err_set(err, E_CONFIG, "the configuration would become too long");
    }
    return config_parse("the changed configuration", buf_str(out), &edited, err);
}

bool config_change_file(const struct config *config, const char *section,
                        const struct config_change changes[], size_t count, bool replace, bool dry,
                        struct err *err)
{
    AUTO(buf) struct buf before = BUF_INIT(FILE_MAX);
    AUTO(buf) struct buf after = BUF_INIT(FILE_MAX);

    if (config_path(config) == NULL) {
        return err_set(err, E_CONFIG, "there is no configuration file to write settings to");
    }
    AUTO(str) char *path = realpath(config_path(config), NULL);
    if (path == NULL) {
        return err_nomem(err);
    }
    if (!file_read(path, &before, err)) {
        return false;
    }
    if (strlen(buf_str(&before)) != before.len) {
        return err_set(err, E_CONFIG, "%s contains a NUL byte", path);
    }
    if (!config_edit(buf_str(&before), section, changes, count, replace, &after, err)) {
        return err_wrap(err, "%s", path);
    }
    return dry || file_rewrite(path, after.data, after.len, err);
}
