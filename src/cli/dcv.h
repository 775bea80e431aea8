/* Inside cli: what the commands of the noun dcv share. */
#ifndef CLI_DCV_H
#define CLI_DCV_H

#include "cli/cli.h"

/* What has to be published, as fields. */
void cli_print_record(struct cli *cli, const struct ca_dcv_record *record);

#endif
