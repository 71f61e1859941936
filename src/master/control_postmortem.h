/*
 * control_postmortem.h - the command postmortem: why workers died.
 */
#ifndef PREFORKD_MASTER_CONTROL_POSTMORTEM_H
#define PREFORKD_MASTER_CONTROL_POSTMORTEM_H

struct control_call;

/* postmortem [SERVICE]: a record "postmortem" for each end that is kept, the newest first. */
void control_postmortem(struct control_call *call);

#endif
