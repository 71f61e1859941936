/*
 * module.h - handlers that are shared objects, loaded when they are used.
 */
#ifndef PREFORKD_HANDLER_MODULE_H
#define PREFORKD_HANDLER_MODULE_H

#include <stddef.h>

struct handler;

/* The file of a module: an absolute path as it is, else $libdir/preforkd/NAME.so. Returns buf. */
const char *module_path(const char *name, char *buf, size_t size);

/*
 * Load a module and look at what is in it. It must belong to root or to us, and
 * nobody else may write to it. NULL with a sentence in error. Its code runs with
 * our rights: in the child that reads a config, and in a worker; never in the
 * master.
 */
const struct handler *module_load(const char *path, char *error, size_t size);

#endif
