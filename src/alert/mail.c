#include "alert/alert.h"

#include "base/str.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { RECIPIENTS_MAX = 32, ADDRESS_MAX = 254, LINE_MAX_BYTES = 900 };

/* What a mail program takes as one address and nothing else: no option, no list, no second line. */
static bool is_address(const char *text)
{
    size_t len = strlen(text);

    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c <= ' ' || c >= 0x7f || strchr("<>()[]\\,;:\"", c) != NULL) {
            return false;
        }
    }
    return len > 0 && len <= ADDRESS_MAX && text[0] != '-' && text[0] != '@' && text[0] != '|' &&
           text[0] != '/' && text[len - 1] != '@';
}

static bool check_from(const char *from, struct err *err)
{
    return from == NULL || is_address(from) ||
           err_set(err, E_CONFIG, "'%.80s' ('alert_mail_from') is no mail address", from);
}

/* The recipients; `list` is cut into pieces. */
static bool split(char *list, const char *to[static RECIPIENTS_MAX], size_t *count, struct err *err)
{
    char *rest = NULL;

    *count = 0;
    for (char *part = strtok_r(list, ",", &rest); part != NULL; part = strtok_r(NULL, ",", &rest)) {
        const char *address = str_trim(part);
        if (!is_address(address)) {
            return err_set(err, E_CONFIG, "'%.80s' ('alert_mail') is no mail address", address);
        }
        if (*count == RECIPIENTS_MAX) {
            return err_set(err, E_CONFIG, "more than %d recipients ('alert_mail')", RECIPIENTS_MAX);
        }
        to[(*count)++] = address;
    }
    return *count > 0 || err_set(err, E_CONFIG, "'alert_mail' names nobody");
}

static bool check_program(const char *path, struct err *err)
{
    struct stat what;

    if (path[0] != '/') {
        return err_set(err, E_CONFIG, "'%s' ('alert_sendmail') is not named from the root", path);
    }
    if (stat(path, &what) != 0 || !S_ISREG(what.st_mode) || access(path, X_OK) != 0) {
        return err_set(err, E_CONFIG,
                       "'%s' ('alert_sendmail') is not a program that can be run: install a mail "
                       "program that provides it, or name another one",
                       path);
    }
    return (what.st_mode & S_IWOTH) == 0 ||
           err_set(err, E_CONFIG, "everybody can change '%s' ('alert_sendmail'; chmod o-w)", path);
}

bool alert_mail_check(const struct alert_mail *mail, struct err *err)
{
    AUTO(str) char *list = str_dup(mail->to);
    const char *to[RECIPIENTS_MAX];
    size_t count = 0;

    if (list == NULL) {
        return err_nomem(err);
    }
    return split(list, to, &count, err) && check_from(mail->from, err) &&
           check_program(mail->sendmail, err);
}

/* "Sat, 21 Nov 2026 08:15:00 +0000", whatever the locale. */
static void add_date(struct buf *out, int64_t now_s)
{
    static const char *const days[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                         "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    time_t when = (time_t)now_s;
    struct tm tm;

    if (gmtime_r(&when, &tm) != NULL) {
        buf_addf(out, "Date: %s, %02d %s %d %02d:%02d:%02d +0000\n", days[tm.tm_wday], tm.tm_mday,
                 months[tm.tm_mon], tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
    }
}

/* One on each line: a line has at most 998 bytes (RFC 5322 section 2.1.1). */
static void add_recipients(struct buf *out, const char *list)
{
    const char *between = "To: ";

    for (const char *p = list; *p != '\0';) {
        size_t len = strcspn(p, ",");
        size_t skip = strspn(p, " \t");
        size_t end = len;
        while (end > skip && (p[end - 1] == ' ' || p[end - 1] == '\t')) {
            end--;
        }
        if (end > skip) {
            buf_addf(out, "%s%.*s", between, (int)(end - skip), p + skip);
            between = ",\n ";
        }
        p += len + (p[len] == ',' ? 1 : 0);
    }
    buf_add_str(out, "\n");
}

/* A sentence as one line; what is longer has been made so by somebody's names. */
static void add_line(struct buf *out, const struct alert_item *item, int64_t now_s)
{
    AUTO(buf) struct buf text = BUF_INIT(16 * 1024);

    alert_sentence(item, now_s, &text);
    size_t len = text.len < LINE_MAX_BYTES ? text.len : LINE_MAX_BYTES;
    while (len < text.len && len > 0 && (text.data[len] & 0xc0) == 0x80) {
        len--; /* not inside of a character */
    }
    buf_addf(out, "%s: %.*s%s\n", alert_severity_name(item->severity), (int)len, buf_str(&text),
             len < text.len ? "..." : "");
}

static void add_header(const struct alert_mail *mail, const struct alert_report *report,
                       const struct alert_summary *sum, struct buf *out)
{
    if (mail->from != NULL) {
        buf_addf(out, "From: %s\n", mail->from);
    }
    add_recipients(out, mail->to);
    buf_addf(out, "Subject: p11enroll %s on %s:", alert_severity_name(sum->severity), report->host);
    if (sum->expired + sum->ending > 0) {
        buf_addf(out, " %zu certificate%s", sum->expired + sum->ending,
                 sum->expired + sum->ending == 1 ? "" : "s");
    }
    if (sum->waiting > 0) {
        buf_addf(out, "%s %zu order%s", sum->expired + sum->ending > 0 ? "," : "", sum->waiting,
                 sum->waiting == 1 ? "" : "s");
    }
    buf_add_str(out, "\n");
    add_date(out, report->now_s);
    buf_add_str(out, "Auto-Submitted: auto-generated\n"
                     "MIME-Version: 1.0\n"
                     "Content-Type: text/plain; charset=utf-8\n"
                     "Content-Transfer-Encoding: 8bit\n\n");
}

/* Line ends are '\n': the program on whose standard input it goes makes them those of SMTP. A line
 * has one alert, whose texts are bounded, and begins with a word of ours. */
void alert_mail_text(const struct alert_mail *mail, const struct alert_report *report,
                     struct buf *out)
{
    struct alert_summary sum;

    alert_summarize(report, &sum);
    add_header(mail, report, &sum, out);
    for (size_t i = 0; i < report->count; i++) {
        add_line(out, report->items[i], report->now_s);
    }
    buf_addf(out, "\nSent by 'p11enroll alert' on %s, once for each level.\n", report->host);
}

bool alert_mail_send(const struct alert_mail *mail, const struct buf *message, struct err *err)
{
    AUTO(str) char *list = str_dup(mail->to);
    const char *to[RECIPIENTS_MAX];
    const char *args[RECIPIENTS_MAX + 5] = {mail->sendmail, "-i"};
    size_t at = 2;
    size_t count = 0;

    if (list == NULL) {
        return err_nomem(err);
    }
    if (!split(list, to, &count, err)) {
        return false;
    }
    if (mail->from != NULL) {
        args[at++] = "-f";
        args[at++] = mail->from;
    }
    for (size_t i = 0; i < count; i++) {
        args[at++] = to[i];
    }
    args[at] = NULL;
    struct alert_program program = {
        .args = args, .input = message, .timeout_ms = mail->timeout_ms, .stop = mail->stop};
    return alert_run(&program, err) || err_wrap(err, "mail to %.200s", mail->to);
}
