#include "hsm/quirks.h"

#include "base/str.h"

#include <string.h>

static const char SEPARATORS[] = " \t,";

static const char *const words[HSM_QUIRKS] = {
#define QUIRK(symbol, word, effect) [HSM_QUIRK_##symbol] = (word),
#include "hsm/quirks.def"
#undef QUIRK
};

static const struct hsm_quirk_row rows[] = {
#define KNOWN(manufacturer, description, major, minor, quirks, source, fault)                      \
    {manufacturer, description, major, minor, quirks, source, fault},
#include "hsm/quirks.def"
#undef KNOWN
};

const struct hsm_quirk_row *hsm_quirk_row_at(size_t i)
{
    return i < ARRAY_LEN(rows) ? &rows[i] : NULL;
}

/* The module's text is padded with blanks and has no end. */
static bool begins_with(const unsigned char *text, size_t size, const char *beginning)
{
    size_t len = strlen(beginning);

    return len <= size && memcmp(text, beginning, len) == 0;
}

static bool is_before(const CK_VERSION *version, unsigned char major, unsigned char minor)
{
    return version->major < major || (version->major == major && version->minor < minor);
}

bool hsm_quirk_row_fits(const struct hsm_quirk_row *row, const CK_INFO *info)
{
    bool every_version = row->before_major == 0 && row->before_minor == 0;

    return begins_with(info->manufacturerID, sizeof(info->manufacturerID), row->manufacturer) &&
           begins_with(info->libraryDescription, sizeof(info->libraryDescription),
                       row->description) &&
           (every_version ||
            is_before(&info->libraryVersion, row->before_major, row->before_minor));
}

unsigned hsm_quirks_known(const CK_INFO *info)
{
    unsigned quirks = 0;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (hsm_quirk_row_fits(&rows[i], info)) {
            quirks |= rows[i].quirks;
        }
    }
    return quirks;
}

static bool find_word(const char *text, size_t len, unsigned *quirks)
{
    for (unsigned i = 0; i < HSM_QUIRKS; i++) {
        if (strlen(words[i]) == len && strncmp(words[i], text, len) == 0) {
            *quirks |= 1U << i;
            return true;
        }
    }
    return false;
}

static bool no_such_word(const char *text, size_t len, struct err *err)
{
    AUTO(buf) struct buf all = BUF_INIT(256);
    AUTO(buf) struct buf word = BUF_INIT(256);

    hsm_quirks_format((1U << HSM_QUIRKS) - 1, &all);
    str_add_quotable(&word, text, len, 40);
    return err_set(err, E_CONFIG, "quirks: there is no '%s'; there are %s", buf_str(&word),
                   buf_str(&all));
}

bool hsm_quirks_parse(const char *text, unsigned *out, struct err *err)
{
    unsigned quirks = 0;

    for (const char *at = text; at != NULL && *at != '\0';) {
        size_t len = strcspn(at, SEPARATORS);
        if (len > 0 && !find_word(at, len, &quirks)) {
            return no_such_word(at, len, err);
        }
        at += len;
        at += strspn(at, SEPARATORS);
    }
    *out = quirks;
    return true;
}

void hsm_quirks_format(unsigned quirks, struct buf *out)
{
    const char *before = "";

    for (unsigned i = 0; i < HSM_QUIRKS; i++) {
        if ((quirks & (1U << i)) != 0) {
            buf_addf(out, "%s%s", before, words[i]);
            before = ", ";
        }
    }
}
