<?php
/* stdin.php - what a PHP process for each connection runs: send back what comes. */
while (($text = fread(STDIN, 65536)) !== false && $text !== '') {
	fwrite(STDOUT, $text);
}
