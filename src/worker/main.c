/*
 * main.c - preforkd-worker, the program of workers whose handler is built in or a program.
 * It loads nothing, so it can be linked statically: a start and a fork cost half.
 */
#include <stddef.h>

#include "worker/batch.h"

int main(int argc, char **argv)
{
	return batch_main(argc, argv, NULL);
}
