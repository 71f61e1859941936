/*
 * runtime.h - where the files of a running master are: its lock, and its control
 * socket if the config does not say.
 *
 * The names come from the user and from the path of the config alone, so that
 * two masters never want the same one, and preforkctl finds the master of a
 * config without reading it (it may be wrong by now).
 */
#ifndef PREFORKD_CONF_RUNTIME_H
#define PREFORKD_CONF_RUNTIME_H

#include <stddef.h>

#define RUNTIME_CONFIG SYSCONFDIR "/preforkd/preforkd.conf" /* of the system's preforkd */
#define RUNTIME_PATH_MAX 4096

/*
 * The directory for the files of this user's masters, in path: the system's for
 * root, else $RUNTIME_DIRECTORY, $XDG_RUNTIME_DIR/preforkd, or /tmp/preforkd-UID.
 */
void runtime_directory(char path[RUNTIME_PATH_MAX]);

/* directory/NAME-HASH.lock of a config, whose path must be absolute. */
void runtime_lock(const char *directory, const char *config, char *path, size_t size);

/* directory/control.sock for RUNTIME_CONFIG, directory/NAME-HASH.sock for another one. */
void runtime_control(const char *directory, const char *config, char *path, size_t size);

#endif
