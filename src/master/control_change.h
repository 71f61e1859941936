/*
 * control_change.h - the commands that change a pool: they write down what is wanted,
 * in the policy of the pool or with its workers; reconcile() does it.
 *
 * A reload makes new pools, and so ends what scale and pause did.
 */
#ifndef PREFORKD_MASTER_CONTROL_CHANGE_H
#define PREFORKD_MASTER_CONTROL_CHANGE_H

struct control_call;

/* scale SERVICE MIN MAX */
void control_scale(struct control_call *call);

/* retire SERVICE|PID: another worker takes the place of each, then it leaves. */
void control_retire(struct control_call *call);

/* pause SERVICE, resume SERVICE: no workers meanwhile, but clients may wait. */
void control_pause(struct control_call *call);
void control_resume(struct control_call *call);

/* kill PID: of a worker, of any generation. */
void control_kill(struct control_call *call);

#endif
