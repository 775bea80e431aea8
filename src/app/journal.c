#include "app/app.h"

bool app_journal(struct app *app, struct journal **out, struct err *err)
{
    AUTO(journal) struct journal *journal = NULL;

    if (!journal_open(app->state_dir, app->clock, &journal, err) || !journal_ready(journal, err)) {
        return err_wrap(err, "nothing was sent to the CA");
    }
    *out = TAKE(journal);
    return true;
}
