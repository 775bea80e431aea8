/* Preloaded beside libasan into programs that load our provider: a module that stays mapped keeps
 * its symbols. */
int dlclose(void *handle);

__attribute__((visibility("default"))) int dlclose(void *handle)
{
    (void)handle;
    return 0;
}
