#!/usr/bin/perl
# client.pl - clients for the tests:
#
#	client.pl loop TO FILE		connect, send a line, read it back behind what the server puts before it, close; until FILE
#					is there; the number of connections on standard output; status 1 when one is lost
#	client.pl hold TO N FILE	N connections at the same time, a line is sent on each and read back; "answered N in MS ms",
#					and they stay open until FILE is there
#	client.pl gaps TO N MS		N connections, one after the other, with random gaps of at most so many ms; "answered N,
#					median M ms, longest L ms". One that is lost, or has no answer after 60 s: status 1
#					TO: a port, [::1]:PORT, a path, or seqpacket:PATH
#	client.pl datagram PATH TEXT	to a unix dgram socket, or to a port of UDP, and print the answer
use strict;
use warnings;
use IO::Handle;
use Socket;
use Time::HiRes qw(sleep time);

sub connect_to {
	my ($to) = @_;
	my $type = $to =~ s/^(stream|seqpacket):// && $1 eq 'seqpacket' ? SOCK_SEQPACKET : SOCK_STREAM;
	my $address = $to =~ m,^/, ? pack_sockaddr_un($to)
		: $to =~ /^\[::1\]:(\d+)$/ ? pack_sockaddr_in6(0 + $1, Socket::inet_pton(Socket::AF_INET6, '::1'))
		: pack_sockaddr_in($to, INADDR_LOOPBACK);
	socket(my $socket, sockaddr_family($address), $type, 0) or die "socket: $!";
	connect($socket, $address) or die "connect: $!";
	return $socket;
}

# An answer may come in pieces.
sub hear {
	my ($socket, $expected) = @_;
	my $got = '';
	while (length $got < length $expected) {
		sysread($socket, $got, 4096, length $got) or die "lost: $expected" . ($! ? "$!\n" : '');
	}
	$got eq $expected or die "wrong: $got";
}

sub hold {
	my ($to, $n, $file) = @_;
	my $began = time;
	my @sockets = map { connect_to($to) } 1 .. $n;
	syswrite($sockets[$_], "hello $_\n") // die "send $_: $!" for 0 .. $#sockets;
	hear($sockets[$_], "hello $_\n") for 0 .. $#sockets;
	printf "answered %d in %d ms\n", $n, (time - $began) * 1000;
	STDOUT->flush;
	sleep 0.02 until -e $file;
}

sub gaps {
	my ($to, $n, $ms) = @_;
	my @ms;
	for (1 .. $n) {
		sleep(rand($ms) / 1000);
		my $began = time;
		local $SIG{ALRM} = sub { die "no answer: $_\n" };
		alarm 60;
		my $socket = connect_to($to);
		syswrite($socket, "hello $_\n") // die "send $_: $!";
		hear($socket, "hello $_\n");
		alarm 0;
		push @ms, (time - $began) * 1000;
	}
	@ms = sort { $a <=> $b } @ms;
	printf "answered %d, median %d ms, longest %d ms\n", $n, $ms[$n / 2], $ms[-1];
}

sub loop {
	my ($to, $file) = @_;
	my $n = 0;
	until (-e $file) {
		my $socket = connect_to($to);
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
	alarm 60;
	my $address = $is_port ? pack_sockaddr_in($to, INADDR_LOOPBACK) : pack_sockaddr_un($to);
	defined send($socket, $text, 0, $address) or die "send: $!";
	defined recv($socket, my $answer, 65536, 0) or die "recv: $!";
	print "$answer\n";
}

my $what = shift @ARGV;
my %does = (loop => \&loop, hold => \&hold, gaps => \&gaps, datagram => \&datagram);
$does{$what}->(@ARGV);
