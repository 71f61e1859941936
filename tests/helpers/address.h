/*
 * address.h - addresses on the command line of the helpers, as preforkd's log writes them:
 * 127.0.0.1:7, [::1]:7, /path, @abstract; without a port where that makes sense.
 */
#ifndef PREFORKD_TESTS_ADDRESS_H
#define PREFORKD_TESTS_ADDRESS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/un.h>

union address {
	struct sockaddr any;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
	struct sockaddr_un un;
};

/* Returns the length. Ends the program when text, which is changed, is none. */
socklen_t address_parse(char *text, bool needs_port, union address *address_r);

#endif
