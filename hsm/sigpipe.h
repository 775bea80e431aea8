/*
 * Keeps SIGPIPE away from the program while a module talks to its server: some modules write to a
 * socket whose other end may be gone, and the signal's default is to end the process. It is blocked
 * for this thread alone, and one that came is taken before the mask is restored, so neither other
 * threads nor the program's own handling of the signal notice anything.
 */
#ifndef HSM_SIGPIPE_H
#define HSM_SIGPIPE_H

#include <stdbool.h>

/* May be nested: only the outermost pair makes system calls. `failed`: a call of the module did. */
void sigpipe_block(void);
void sigpipe_restore(bool failed);

#endif
