#!/usr/bin/perl
# prefork.pl PORT: an echo server by Net::Server::PreFork, from 2 workers to 64. Two of them to spare: with one it can
# stay at 2 for good, as it waits for a line of a worker that is in its own buffer already (version 2.013).
use strict;
use warnings;
use Net::Server::PreFork;

package Echo;
our @ISA = ('Net::Server::PreFork');

sub process_request {
	my $client = shift->{server}{client};
	while (sysread($client, my $text, 65536)) {
		syswrite($client, $text);
	}
}

Echo->run(
	host => '127.0.0.1', port => $ARGV[0], ipv => '4', log_level => 1,
	min_servers => 2, max_servers => 64, min_spare_servers => 2, max_spare_servers => 4,
);
