<?php
/*
 * counter.php - for preforkd's handler php: a line protocol with state.
 *
 *	service counter {
 *		port    = 7009
 *		handler = php
 *		options { script = "/srv/php/counter.php" }
 *	}
 *
 *	add N	adds N to the sum of this connection, and says it
 *	total	says how many numbers this worker has added, for all its clients
 *	quit	ends the connection
 *
 * What stands outside of the function is done once, when a worker starts.
 */
class Counter
{
	private int $numbers = 0;

	public function serve(Socket $client, array $peer): void
	{
		$sum = 0;
		socket_write($client, "hello {$peer['peer']}\n");
		while (is_string($line = socket_read($client, 1024, PHP_NORMAL_READ)) && $line !== '') {
			$words = explode(' ', trim($line));
			if ($words[0] === 'quit') {
				socket_write($client, "bye\n");
				return;
			}
			if ($words[0] !== '') {
				socket_write($client, $this->answer($words, $sum) . "\n");
			}
		}
	}

	private function answer(array $words, int &$sum): string
	{
		switch ($words[0]) {
		case 'add':
			if (count($words) !== 2 || filter_var($words[1], FILTER_VALIDATE_INT) === false) {
				return 'error: add takes a number';
			}
			$sum += (int)$words[1];
			$this->numbers++;
			return "sum $sum";
		case 'total':
			return "total {$this->numbers}";
		default:
			return 'error: there is add, total and quit';
		}
	}
}

return [new Counter(), 'serve'];
