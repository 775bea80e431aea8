#include "config/config.h"

static const char *first(const char *a, const char *b)
{
    return a != NULL ? a : b;
}

const char *config_product(const struct config_selection *selection)
{
    return first(selection->profile->product, selection->ca->product);
}

int64_t config_term_days(const struct config_selection *selection)
{
    return selection->profile->term_days != 0 ? selection->profile->term_days
                                              : selection->ca->term_days;
}

const char *config_key_policy(const struct config_selection *selection)
{
    return first(selection->profile->policy, selection->ca->policy);
}

const char *config_requester(const struct config_selection *selection)
{
    return first(selection->profile->external_requester, selection->ca->requester);
}

int64_t config_org_id(const struct config_selection *selection)
{
    const struct config_profile *p = selection->profile;

    return p->org_id != 0 && !selection->ca->org_id_is_option ? p->org_id : selection->ca->org_id;
}

static int64_t first_number(int64_t a, int64_t b)
{
    return a != 0 ? a : b;
}

struct config_approval config_approval(const struct config_selection *selection)
{
    const struct config_approval *p = &selection->profile->approval;
    const struct config_approval *c = &selection->ca->approval;

    return (struct config_approval){
        .rule = p->rule != NULL ? p->rule : c->rule,
        .rule_for = p->rule_for != NULL ? p->rule_for : c->rule_for,
        .approvers = p->approvers != NULL ? p->approvers : c->approvers,
        .count = first_number(first_number(p->count, c->count), 1),
        .time_s = first_number(p->time_s, c->time_s),
        .late = p->late != NULL ? p->late : c->late,
        .own = p->own != NULL ? p->own : c->own,
    };
}
