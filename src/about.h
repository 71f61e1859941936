/*
 * about.h - what this program has (-m), and what this system has of it (--probe).
 */
#ifndef PREFORKD_ABOUT_H
#define PREFORKD_ABOUT_H

#include <stdbool.h>

/* Print handlers, families, types, protocols and features. */
void about_modules(void);

/*
 * Open and close one socket of each kind, as this user, in this namespace, and
 * print what works, why not, and what to do; as a table or as JSON.
 */
void about_probe(bool json);

#endif
