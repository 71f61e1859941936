#!/usr/bin/perl
# client.pl - clients for the tests:
#
#	client.pl loop PORT FILE	connect, send a line, read it back behind what the server puts before it, close; until FILE
#					is there; the number of connections on standard output; status 1 when one is lost
#	client.pl datagram PATH TEXT	to a unix dgram socket, or to a port of UDP, and print the answer
use strict;
use warnings;
use IO::Handle;
use Socket;

sub loop {
	my ($port, $file) = @_;
	my $n = 0;
	until (-e $file) {
		socket(my $socket, AF_INET, SOCK_STREAM, 0) or die "socket: $!";
		connect($socket, pack_sockaddr_in($port, INADDR_LOOPBACK)) or die "connect $n: $!";
		$socket->autoflush(1);
		print $socket "hello $n\n" or die "send $n: $!";
		my $line = readline($socket);
		defined $line && $line =~ /(^|\s)hello $n\n$/ or die "lost: $n " . ($line // "nothing: $!") . "\n";
		$n++;
	}
	print "$n\n";
}

sub datagram {
	my ($to, $text) = @_;
	my $is_port = $to =~ /^\d+$/;
	socket(my $socket, $is_port ? AF_INET : AF_UNIX, SOCK_DGRAM, 0) or die "socket: $!";
	# a name that the kernel chooses
	$is_port || bind($socket, pack('S', AF_UNIX)) or die "bind: $!";
	alarm 10;
	my $address = $is_port ? pack_sockaddr_in($to, INADDR_LOOPBACK) : pack_sockaddr_un($to);
	defined send($socket, $text, 0, $address) or die "send: $!";
	defined recv($socket, my $answer, 65536, 0) or die "recv: $!";
	print "$answer\n";
}

my $what = shift @ARGV;
$what eq 'loop' ? loop(@ARGV) : datagram(@ARGV);
