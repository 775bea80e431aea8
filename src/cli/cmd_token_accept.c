#include "cli/cli.h"

#include "cli/token.h"

/* Says which token a section was used with before; nothing if none was. */
static void print_before(struct cli *cli, const struct hsm_identity *before)
{
    out_text(&cli->out, "before_label", before->known ? "Before" : NULL,
             before->known ? before->label : NULL);
    out_text(&cli->out, "before_serial", before->known ? "Serial before" : NULL,
             before->known ? before->serial : NULL);
}

bool cmd_token_accept(struct cli *cli, struct err *err)
{
    AUTO(hsm_opened) struct hsm_opened opened = {.token = NULL};
    struct hsm_access access = cli_access(cli);
    struct hsm_identity before;

    if (!hsm_access_open(&access, NULL, false, &opened, err) ||
        !hsm_access_accept(&access, &opened, &before, err)) {
        return false;
    }
    const struct hsm_token_info *info = &opened.token->info;
    out_text(&cli->out, "section", "Section", access.section);
    out_text(&cli->out, "label", "Label", info->label);
    out_text(&cli->out, "serial", "Serial", info->serial);
    out_text(&cli->out, "manufacturer", "Manufacturer", info->manufacturer);
    out_text(&cli->out, "model", "Model", info->model);
    print_before(cli, &before);
    return true;
}
