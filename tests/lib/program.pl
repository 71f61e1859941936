#!/usr/bin/perl
# program.pl - a persistent program for the tests. Its arguments are done one after the other, NAME or NAME=VALUE:
#
#	mark=WORD	a line "mark=WORD pid=N generation=N" on standard error (the log)
#	tell=TEXT	sent to NOTIFY_SOCKET by this process; \n is a line end, \e escape
#	child=TEXT	the same by a child of this process
#	gate=FILE	wait until FILE is there
#	pings=FILE	WATCHDOG=1 all the time until FILE is there
#	deaf		ignore SIGTERM
#	terms		a mark for every SIGTERM, and no other effect
#	nonblock, close, shutdown	the listening socket
#	leave=N		N processes that this one is not the parent of: they sleep in a session of their own
#	dust=N		N such processes that end at once
#	group		SIGTERM to the whole process group
#	exit=N, die=N	the end, by status or by signal
#	pause		wait for ever
#	serve		connections: each line is sent back behind "PID GENERATION "; SIGTERM: the last one is finished
#	packets		the same for datagrams
use strict;
use warnings;
use Fcntl;
use IO::Handle;
use POSIX ();
use Socket;

my $generation = $ENV{PREFORKD_GENERATION} || 0;
my ($listener, $leaving);
open($listener, '+<&=', $ENV{PROGRAM_FD} // 3) or die "descriptor 3: $!";
open(my $null, '<', '/dev/null') or die "/dev/null: $!";

sub mark { syswrite(STDERR, "mark=$_[0] pid=$$ generation=$generation\n") }

sub tell_master {
	my ($text) = @_;
	(my $name = $ENV{NOTIFY_SOCKET}) =~ s/^@/\0/;
	$text =~ s{\\(.)}{ $1 eq "n" ? "\n" : $1 eq "e" ? "\e" : $1 }ge;
	socket(my $socket, AF_UNIX, SOCK_DGRAM, 0) or die "socket: $!";
	defined send($socket, $text, 0, pack_sockaddr_un($name)) or die "send: $!";
}

sub tell_by_child {
	my $pid = fork // die "fork: $!";
	if ($pid == 0) {
		tell_master(@_);
		POSIX::_exit(0);
	}
	waitpid($pid, 0);
}

sub pause_briefly { select(undef, undef, undef, 0.02) }

# At once, not between two operations of perl: a signal just before accept(2) would be missed.
sub on_signal {
	my ($signal, $code) = @_;
	POSIX::sigaction($signal, POSIX::SigAction->new($code, POSIX::SigSet->new, 0)) or die "sigaction: $!";
}

sub leave_behind {
	my ($n, $code) = @_;
	for (1 .. $n) {
		my $pid = fork // die "fork: $!";
		if ($pid == 0) {
			POSIX::setsid();
			$code->() if (fork // die "fork: $!") == 0;
			POSIX::_exit(0);
		}
		waitpid($pid, 0);
	}
}

# After SIGTERM descriptor 3 is no socket any more, so that no accept(2) waits; what was accepted is finished.
sub leave_on_term {
	on_signal(POSIX::SIGTERM, sub { $leaving = 1; POSIX::dup2(fileno($null), fileno($listener)); mark('term') });
}

sub wait_for_input {
	vec(my $bits = '', fileno($listener), 1) = 1;
	select($bits, undef, undef, undef);
}

sub serve {
	leave_on_term();
	until ($leaving) {
		if (!accept(my $client, $listener)) {
			die "accept: $!" unless $leaving || $!{EINTR} || $!{EAGAIN};
			wait_for_input() if $!{EAGAIN} && !$leaving;
			next;
		} else {
			$client->autoflush(1);
			while (my $line = readline($client)) {
				print $client "$$ $generation $line";
			}
		}
	}
	exit 0;
}

sub packets {
	leave_on_term();
	until ($leaving) {
		my $peer = recv($listener, my $text, 65536, 0);
		if (!defined $peer) {
			wait_for_input() if $!{EAGAIN} && !$leaving;
			next;
		}
		send($listener, "$$ $generation $text", 0, $peer);
	}
	exit 0;
}

my %actions = (
	mark => \&mark,
	tell => \&tell_master,
	child => \&tell_by_child,
	gate => sub { pause_briefly() until -e $_[0] },
	pings => sub { tell_master('WATCHDOG=1'), pause_briefly() until -e $_[0] },
	deaf => sub { $SIG{TERM} = 'IGNORE' },
	terms => sub { on_signal(POSIX::SIGTERM, sub { mark('term') }) },
	nonblock => sub { fcntl($listener, F_SETFL, O_RDWR | O_NONBLOCK) or die "fcntl: $!" },
	close => sub { POSIX::close(fileno($listener)) },
	shutdown => sub { shutdown($listener, 2) or die "shutdown: $!" },
	leave => sub { leave_behind($_[0], sub { sleep 1000 }) },
	dust => sub { leave_behind($_[0], sub { POSIX::_exit(0) }) },
	group => sub { local $SIG{TERM} = 'IGNORE'; kill('TERM', 0) },
	exit => sub { POSIX::_exit($_[0]) },
	die => sub { kill($_[0], $$); pause_briefly() },
	pause => sub { sleep 1000 while 1 },
	serve => \&serve,
	packets => \&packets,
);

for (@ARGV) {
	my ($name, $value) = split(/=/, $_, 2);
	($actions{$name} || die "no action $name")->($value);
}
