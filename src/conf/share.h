/*
 * share.h - a conf as it is used: a memfd that its reader has left, mapped, and how many
 * generations use it. In the master, and once in a batch of workers.
 */
#ifndef PREFORKD_CONF_SHARE_H
#define PREFORKD_CONF_SHARE_H

struct conf;

/* The conf in a memfd, which is not needed afterwards; NULL if it is none of this binary's. */
const struct conf *conf_map(int memfd);

/* The memfd that a conf is mapped from, which nobody can change; it stays ours. */
int conf_fd(const struct conf *conf);

/* A conf may be used by several generations: take and give back a share of it. */
const struct conf *conf_ref(const struct conf *conf);
void conf_unref(const struct conf *conf);

#endif
