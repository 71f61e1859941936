/*
 * json.h - the records of an answer as JSON, field by field.
 *
 * Records of which there is one become members of the object; the others arrays of
 * objects, named in the plural: {"master": {...}, "services": [{...}, ...]}.
 */
#ifndef PREFORKD_CTL_JSON_H
#define PREFORKD_CTL_JSON_H

#include <stdio.h>

struct answer;

/*
 * Print all. kinds: those that are expected as arrays, with spaces between them, so
 * that one without members is there, too. Uses the records up.
 */
void json_print(struct answer *answer, const char *kinds, FILE *out);

#endif
