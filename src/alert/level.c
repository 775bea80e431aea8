#include "alert/alert.h"

#include "base/str.h"

#include <string.h>

enum { DAY_S = 86400, DAYS_MAX = 36500 };

const char *alert_severity_name(enum alert_severity severity)
{
    static const char *const names[] = {[ALERT_OK] = "OK",
                                        [ALERT_WARNING] = "WARNING",
                                        [ALERT_CRITICAL] = "CRITICAL",
                                        [ALERT_UNKNOWN] = "UNKNOWN"};

    return names[severity];
}

enum alert_severity alert_worse(enum alert_severity a, enum alert_severity b)
{
    static const int rank[] = {
        [ALERT_OK] = 0, [ALERT_WARNING] = 1, [ALERT_UNKNOWN] = 2, [ALERT_CRITICAL] = 3};

    return rank[a] >= rank[b] ? a : b;
}

static const struct {
    enum alert_source source;
    const char *name;
} sources[] = {
    {ALERT_JOURNAL, "journal"},
    {ALERT_INVENTORY, "inventory"},
    {ALERT_TOKEN, "token"},
};

static unsigned source_named(const char *word)
{
    for (size_t i = 0; i < ARRAY_LEN(sources); i++) {
        if (str_equal(sources[i].name, word)) {
            return sources[i].source;
        }
    }
    return 0;
}

bool alert_sources_parse(const char *text, unsigned *out, struct err *err)
{
    AUTO(str) char *copy = str_dup(text);
    char *rest = NULL;
    unsigned all = 0;

    if (copy == NULL) {
        return err_nomem(err);
    }
    for (char *part = strtok_r(copy, ",", &rest); part != NULL; part = strtok_r(NULL, ",", &rest)) {
        const char *word = str_trim(part);
        unsigned source = source_named(word);
        if (source == 0) {
            return err_set(err, E_CONFIG,
                           "'%.40s' is none of the sources of alerts: journal, inventory, token",
                           word);
        }
        all |= source;
    }
    if (all == 0) {
        return err_set(err, E_CONFIG, "no source of alerts is named: journal, inventory, token");
    }
    *out = all;
    return true;
}

void alert_sources_text(unsigned bits, struct buf *out)
{
    const char *between = "";

    for (size_t i = 0; i < ARRAY_LEN(sources); i++) {
        if ((bits & sources[i].source) != 0) {
            buf_addf(out, "%s%s", between, sources[i].name);
            between = ", ";
        }
    }
}

/* A number is days where days are meant. */
static bool parse_one(const char *word, bool is_left, int64_t *out, struct err *err)
{
    uint64_t days = 0;
    bool is_number = word[strspn(word, "0123456789")] == '\0';

    if (is_left && str_to_u64(word, DAYS_MAX, &days)) {
        *out = (int64_t)days * DAY_S;
        return true;
    }
    return (!(is_left && is_number) && str_to_seconds(word, out) &&
            *out <= (int64_t)DAYS_MAX * DAY_S) ||
           err_set(err, E_CONFIG, "'%.40s' is no level of alerts: %s", word,
                   is_left ? "a number of days, or a span like 36h" : "a span like 36h or 3d");
}

static bool parse_levels(const char *text, bool is_left, struct alert_levels *out, struct err *err)
{
    AUTO(str) char *copy = str_dup(text);
    char *rest = NULL;
    struct alert_levels levels = {.count = 0};

    if (copy == NULL) {
        return err_nomem(err);
    }
    for (char *part = strtok_r(copy, ",", &rest); part != NULL; part = strtok_r(NULL, ",", &rest)) {
        int64_t level = 0;
        if (!parse_one(str_trim(part), is_left, &level, err)) {
            return false;
        }
        if (levels.count == ALERT_LEVELS_MAX) {
            return err_set(err, E_CONFIG, "more than %d levels of alerts", ALERT_LEVELS_MAX);
        }
        int64_t before = levels.count > 0 ? levels.list[levels.count - 1] : 0;
        if (levels.count > 0 && (is_left ? level >= before : level <= before)) {
            return err_set(err, E_CONFIG, "levels of alerts '%.80s': each is %s the one before",
                           text, is_left ? "less than" : "more than");
        }
        levels.list[levels.count++] = level;
    }
    if (levels.count == 0) {
        return err_set(err, E_CONFIG, "no level of alerts is named");
    }
    *out = levels;
    return true;
}

bool alert_levels_left(const char *text, struct alert_levels *out, struct err *err)
{
    return parse_levels(text, true, out, err);
}

bool alert_levels_waited(const char *text, struct alert_levels *out, struct err *err)
{
    return parse_levels(text, false, out, err);
}

static void reach(const struct alert_levels *levels, size_t i, bool is_left,
                  struct alert_item *item)
{
    item->level_s = levels->list[i];
    item->urgency = is_left ? -levels->list[i] : levels->list[i];
    item->severity = i + 1 == levels->count ? ALERT_CRITICAL : ALERT_WARNING;
    item->expired = false;
}

bool alert_judge_left(const struct alert_levels *levels, int64_t lead_s, int64_t left_s,
                      struct alert_item *item)
{
    int64_t first = levels->list[0];
    bool shrink = lead_s > 0 && lead_s < first;

    if (left_s < 0) {
        item->severity = ALERT_CRITICAL;
        item->urgency = 1; /* worse than a level of 0 */
        item->level_s = 0;
        item->expired = true;
        return true;
    }
    for (size_t i = levels->count; i-- > 0;) {
        int64_t level = shrink ? levels->list[i] * lead_s / first : levels->list[i];
        if (left_s <= level) {
            reach(levels, i, true, item);
            return true;
        }
    }
    return false;
}

bool alert_judge_waited(const struct alert_levels *levels, int64_t waited_s,
                        struct alert_item *item)
{
    for (size_t i = levels->count; i-- > 0;) {
        if (waited_s >= levels->list[i]) {
            reach(levels, i, false, item);
            return true;
        }
    }
    return false;
}

bool alert_is_due(const struct alert_sent *last, int64_t urgency, int64_t now_s, int64_t repeat_s)
{
    if (last == NULL || urgency > last->urgency) {
        return true;
    }
    /* a clock that was set back does not silence it */
    return repeat_s > 0 && (now_s < last->sent_s || now_s - last->sent_s >= repeat_s);
}
