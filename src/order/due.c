#include "order/due.h"

#include "base/compiler.h"

/* Times beyond this are no dates; sums of a few of them still fit. */
static const int64_t farthest_s = (int64_t)1 << 50;

static const struct due_limit limits[] = {
    {1598918400, 398}, /* 2020-09-01 */
    {1773532800, 200}, /* 2026-03-15 */
    {1805068800, 100}, /* 2027-03-15 */
    {1868227200, 47},  /* 2029-03-15 */
};

const struct due_limit *due_limit_at(size_t i)
{
    return i < ARRAY_LEN(limits) ? &limits[i] : NULL;
}

int due_limit_days(int64_t issued_s)
{
    int days = 0;

    for (size_t i = 0; i < ARRAY_LEN(limits) && limits[i].from_s <= issued_s; i++) {
        days = limits[i].days;
    }
    return days;
}

static bool is_date(int64_t time_s)
{
    return time_s > -farthest_s && time_s < farthest_s;
}

bool due_limit_fits(int64_t not_before_s, int64_t not_after_s)
{
    int days = due_limit_days(not_before_s);

    return days == 0 || (is_date(not_before_s) && is_date(not_after_s) &&
                         not_after_s - not_before_s + 1 <= (int64_t)days * DUE_DAY_S);
}

static int64_t early_s(enum due_validation validation, const struct due_rule *rule)
{
    int64_t early = 0;

    switch (validation) {
    case DUE_DV:
        break;
    case DUE_OV:
        early = rule->early_ov_s;
        break;
    case DUE_EV:
        early = rule->early_ev_s;
        break;
    }
    return early > 0 && is_date(early) ? early : 0;
}

struct due due_judge(const struct due_certificate *cert, const struct due_rule *rule, int64_t now_s)
{
    struct due due = {.state = DUE_UNKNOWN};

    if (!is_date(cert->not_before_s) || !is_date(cert->not_after_s) ||
        cert->not_after_s <= cert->not_before_s) {
        return due;
    }
    int64_t lifetime = cert->not_after_s - cert->not_before_s + 1;
    bool is_short = lifetime < (int64_t)DUE_SHORT_DAYS * DUE_DAY_S;
    int64_t most = lifetime / 3 * 2;
    int64_t lead = lifetime / (is_short ? 2 : 3) + early_s(cert->validation, rule);
    due.lead_s = lead < most ? lead : most;
    due.from_s = cert->not_after_s - due.lead_s;
    due.state = now_s > cert->not_after_s ? DUE_OVER : now_s >= due.from_s ? DUE_NOW : DUE_LATER;
    return due;
}
