/*
 * Runs a command and tells how long it takes to its first result, to its end, and how much memory
 * it has at most.
 *
 *   p11timed WORD COMMAND [ARGUMENT...]
 *
 * A result is a line of its output that has WORD in it. Prints one line: results, milliseconds to
 * the first, milliseconds to the end, kB; or ends with the status of a command that failed. The
 * child is forked from this small process, because the kernel counts what a process had before its
 * exec as well.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double now_ms(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void die(const char *what)
{
    (void)fprintf(stderr, "p11timed: %s\n", what);
    exit(2);
}

static pid_t start(char **command, FILE **out)
{
    int ends[2];

    if (pipe(ends) != 0) {
        die("pipe");
    }
    pid_t pid = fork();
    if (pid == 0) {
        (void)dup2(ends[1], STDOUT_FILENO);
        (void)close(ends[0]);
        (void)close(ends[1]);
        (void)execvp(command[0], command);
        _exit(127);
    }
    (void)close(ends[1]);
    *out = fdopen(ends[0], "r");
    if (pid < 0 || *out == NULL) {
        die("fork");
    }
    return pid;
}

int main(int argc, char **argv)
{
    FILE *out = NULL;
    char *line = NULL;
    size_t size = 0;
    long results = 0;
    double first = 0;
    int status = 0;
    struct rusage used;

    if (argc < 3) {
        die("see the head of timed.c");
    }
    double begin = now_ms();
    pid_t pid = start(argv + 2, &out);
    while (getline(&line, &size, out) > 0) {
        if (strstr(line, argv[1]) != NULL) {
            first = results == 0 ? now_ms() - begin : first;
            results++;
        }
    }
    if (wait4(pid, &status, 0, &used) != pid || !WIFEXITED(status)) {
        die("the command was killed");
    }
    if (WEXITSTATUS(status) != 0) {
        return WEXITSTATUS(status);
    }
    printf("%ld %.2f %.2f %ld\n", results, first, now_ms() - begin, used.ru_maxrss);
    free(line);
    (void)fclose(out);
    return 0;
}
