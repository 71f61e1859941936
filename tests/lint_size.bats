#!/usr/bin/env bats
# How large files and functions of src/ may become.

SRC=$BATS_TEST_DIRNAME/../src

FILE_LINES=400
FUNCTION_LINES=60
MEDIAN_LINES=20
WIDTH=100

# functions DIRECTORY: "lines file:name" for each function, the shortest first
functions() {
	(cd "$1" && find . -name '*.[ch]' -print0 |
		xargs -0 ctags -x --languages=C --kinds-C=f --fields=+e --_xformat='%{end} %n %F:%N') |
		awk '{ print $1 - $2 + 1, $3 }' | sort -n
}

# wide DIRECTORY: lines wider than allowed, tabs being 8
wide() {
	(cd "$1" && find . -name '*.[ch]' | LC_ALL=C sort | while IFS= read -r file; do
		expand "$file" | awk -v "file=$file" -v "width=$WIDTH" \
			'length($0) > width { print file ":" NR ": " length($0) " columns" }'
	done)
}

setup() {
	ctags --version | grep -q 'Universal Ctags' || {
		echo "universal-ctags is missing"
		return 1
	}
}

@test "no file has more than $FILE_LINES lines" {
	run find "$SRC" -name '*.[ch]' -exec awk -v "max=$FILE_LINES" \
		'FNR == max + 1 { print FILENAME " has more than " max " lines" }' {} +
	[ "$status" -eq 0 ]
	[ -z "$output" ] || { echo "$output"; false; }
}

@test "no function has more than $FUNCTION_LINES lines" {
	[ "$(functions "$SRC" | wc -l)" -gt 100 ]
	run awk -v "max=$FUNCTION_LINES" '$1 > max' <(functions "$SRC")
	[ -z "$output" ] || { echo "$output"; false; }
}

@test "half of the functions have at most $MEDIAN_LINES lines" {
	local median
	median=$(functions "$SRC" | awk '{ lines[NR] = $1 } END { print lines[int((NR + 1) / 2)] }')
	echo "median: $median"
	[ "$median" -le "$MEDIAN_LINES" ]
}

@test "no line is wider than $WIDTH columns" {
	run wide "$SRC"
	[ -z "$output" ] || { echo "$output"; false; }
}

@test "these checks find what is too large" {
	mkdir "$BATS_TEST_TMPDIR/src"
	{
		printf 'int long_one(void)\n{\n'
		printf '\treturn 1;\n%.0s' {1..59}
		printf '}\n\nstatic int short_one(int a,\n\t\t     int b)\n{\n\treturn a + b;\n}\n'
		printf '\t\t\t\t\t\t\t\t\t\t\t\t/* too wide */\n'
	} >"$BATS_TEST_TMPDIR/src/a.c"
	[ "$(functions "$BATS_TEST_TMPDIR/src")" = $'5 ./a.c:short_one\n62 ./a.c:long_one' ]
	[ "$(wide "$BATS_TEST_TMPDIR/src")" = './a.c:69: 110 columns' ]
}
