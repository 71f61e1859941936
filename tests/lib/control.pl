#!/usr/bin/perl
# control.pl - clients of a control socket as they should not be, and a master that is none:
#
#	control.pl ask SOCKET [TEXT]		send the TEXT as it is (\n, \xhh), print what comes back; status 1 for nothing
#	control.pl hold SOCKET N TEXT		N connections at a time, each sends the TEXT and never reads; until it is ended
#	control.pl flood SOCKET N [TEXT]	N connections, one after the other, that are left open as long as it is possible;
#						each sends the TEXT
#	control.pl fake SOCKET TEXT		listen there, answer anybody with the TEXT
use strict;
use warnings;
use Socket;

$| = 1;
my ($what, $path, @rest) = @ARGV;

sub bytes {
	my ($text) = @_;
	$text =~ s/\\(n|r|x[0-9a-f]{2})/$1 eq 'n' ? "\n" : $1 eq 'r' ? "\r" : chr hex substr $1, 1/ge;
	return $text;
}

sub client {
	socket(my $socket, AF_UNIX, SOCK_STREAM, 0) or die "socket: $!";
	connect($socket, pack_sockaddr_un($path)) or die "connect: $!";
	return $socket;
}

sub ask {
	my $socket = client();
	my $text = bytes(shift // '');
	my $answer = '';
	$SIG{PIPE} = 'IGNORE';
	syswrite($socket, $text) if length $text;
	while (sysread($socket, my $piece, 65536)) {
		$answer .= $piece;
	}
	print $answer;
	exit(length $answer ? 0 : 1);
}

sub hold {
	my ($n, $text) = @_;
	my @sockets;
	for (1 .. $n) {
		push @sockets, client();
		syswrite($sockets[-1], bytes($text)) if length $text;
	}
	print "held\n";
	sleep 1 while 1;
}

sub flood {
	my ($n, $text) = (@_, '');
	my @sockets;
	$SIG{PIPE} = 'IGNORE';
	for (1 .. $n) {
		push @sockets, client();
		syswrite($sockets[-1], bytes($text)) if length $text;
		shift @sockets if @sockets > 200;
	}
	print "flooded\n";
}

sub fake {
	my $text = bytes(shift);
	socket(my $socket, AF_UNIX, SOCK_STREAM, 0) or die "socket: $!";
	bind($socket, pack_sockaddr_un($path)) && listen($socket, 10) or die "bind: $!";
	print "listens\n";
	while (accept(my $client, $socket)) {
		sysread($client, my $request, 1024);
		syswrite($client, $text);
	}
}

{ ask => \&ask, hold => \&hold, flood => \&flood, fake => \&fake }->{$what}->(@rest);
