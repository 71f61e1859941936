# examples.bash - the examples of etc/services.d, for tests that run them. Loaded after lib/daemon.
# shellcheck shell=bash

EXAMPLES=$(cd "${BASH_SOURCE[0]%/*}/../../etc/services.d" && pwd)

# example NAME [SED...]: a service of etc/services.d on any free port, changed by commands of sed(1)
example() {
	local name=$1
	shift
	sed -E -e '/^[[:space:]]*port[[:space:]]*= [0-9]+$/ s/[0-9]+$/0/' "${@/#/-e}" "$EXAMPLES/$name.conf.example"
}

# example_file NAME PATH: the file that its head shows, behind "in PATH:"
example_file() {
	awk -v head="in $2:" '
		inside && !/^#                 / { exit }
		inside { print substr($0, 19) }
		index($0, head) { inside = 1 }' "$EXAMPLES/$1.conf.example" | grep .
}
