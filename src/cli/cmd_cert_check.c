#include "cli/cli.h"
bool cmd_cert_check(struct cli *cli UNUSED, struct err *err)
{
    return err_set(err, E_INTERNAL, "to be written");
}
