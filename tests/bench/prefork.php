<?php
/*
 * prefork.php - the yardstick of the handler php: what one writes by hand, and well.
 *
 *	php prefork.php WORKERS
 *
 * Binds a free TCP port, forks, and each worker accepts, sends back what comes and
 * closes. It says port=N when it is ready. SIGTERM ends it; it checks nobody and
 * replaces nobody.
 */
$listener = socket_create_listen(0, 4096);
socket_getsockname($listener, $address, $port);
$workers = [];
for ($i = 0; $i < (int) $argv[1]; $i++) {
	$pid = pcntl_fork();
	if ($pid > 0) {
		$workers[] = $pid;
		continue;
	}
	while (true) {
		$client = socket_accept($listener);
		while (($text = socket_read($client, 65536)) !== false && $text !== '') {
			for ($sent = 0; $sent < strlen($text); $sent += $n) {
				$n = socket_write($client, substr($text, $sent));
				if ($n === false) {
					break 2;
				}
			}
		}
		socket_close($client);
	}
}
pcntl_async_signals(true);
pcntl_signal(SIGTERM, function () use ($workers) {
	foreach ($workers as $pid) {
		posix_kill($pid, SIGKILL);
	}
}, false);
echo "port=$port\n";
foreach ($workers as $pid) {
	pcntl_waitpid($pid, $status);
}
