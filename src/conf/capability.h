/*
 * capability.h - names of capabilities(7), and which of them this process has.
 *
 * Used by the reading child. A library for 41 words and one system call would
 * be one more thing to install.
 */
#ifndef PREFORKD_CONF_CAPABILITY_H
#define PREFORKD_CONF_CAPABILITY_H

#include <stdbool.h>

/* The number of a name such as "net_raw" or "CAP_NET_RAW"; -1: there is none. */
int capability_find(const char *name);

/* "NET_RAW" of its number. */
const char *capability_name(int capability);

struct compile;
struct conf_service;

/* Report, with the remedy, if this process does not have the one that the key needs. */
void capability_need(struct compile *compile, const struct conf_service *service, const char *key,
		     int capability);

/* Is it among the effective ones of this process? */
bool capability_have(int capability);

#endif
