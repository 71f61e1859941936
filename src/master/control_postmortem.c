#include "master/control_postmortem.h"

#include <string.h>

#include "master/control_command.h"
#include "master/control_status.h"
#include "master/postmortem.h"

static void tell_conn(struct control_reply *reply, const struct postmortem *record)
{
	control_reply_text(reply, "peer", record->peer);
	control_reply_number(reply, "conn_age_ms", (uint64_t)record->conn_age_ms);
	control_reply_number(reply, "conn_in", record->conn_in);
	control_reply_number(reply, "conn_out", record->conn_out);
}

static void tell(struct control_reply *reply, const struct postmortem *record)
{
	static const char *const oom[] = { "unknown", "no", "yes" };

	control_reply_record(reply, "postmortem");
	control_reply_number(reply, "at_ms", (uint64_t)record->at_ms);
	control_reply_text(reply, "service", record->service);
	control_reply_text(reply, "reason", record->reason);
	control_reply_text(reply, "oom", oom[record->oom]);
	control_reply_number(reply, "worker", record->worker);
	control_reply_number(reply, "pid", (uint64_t)record->pid);
	control_reply_number(reply, "generation", record->generation);
	control_reply_number(reply, "age_ms", (uint64_t)record->age_ms);
	control_reply_number(reply, "cpu_ms", (uint64_t)record->cpu_ms);
	control_reply_number(reply, "max_rss", (uint64_t)record->max_rss);
	control_reply_number(reply, "accepted", record->counts.accepted);
	control_reply_number(reply, "served", record->counts.served);
	control_reply_number(reply, "lost", record->counts.lost);
	if (strcmp(record->peer, "-") != 0)
		tell_conn(reply, record);
	control_reply_text(reply, "last_lines", record->last_lines);
}

void control_postmortem(struct control_call *call)
{
	const char *service = control_argument(call);
	const struct postmortem *record;
	unsigned n = 0;

	for (unsigned i = 0; (record = postmortem_get(call->master, i)) != NULL; i++) {
		if (service != NULL && strcmp(record->service, service) != 0)
			continue;
		tell(&call->reply, record);
		n++;
	}
	/* one that is no more may have left some */
	if (n == 0)
		(void)control_status_exists(call, service);
}
