<?php
/*
 * echo.php - for preforkd's handler php: send back what comes.
 *
 *	service php {
 *		port    = 7008
 *		handler = php
 *		options { script = "/srv/php/echo.php" }
 *	}
 *
 * Over datagrams it gets a string, and what it returns is the answer.
 */
return function ($client, array $peer) {
	if (is_string($client)) {
		return $client;
	}
	while (($text = socket_read($client, 65536)) !== false && $text !== '') {
		for ($sent = 0; $sent < strlen($text); $sent += $n) {
			$n = socket_write($client, substr($text, $sent));
			if ($n === false) {
				return;
			}
		}
	}
};
