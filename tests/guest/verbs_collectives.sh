#!/bin/sh
# Every collective over Soft-RoCE, on 2, 3, 4 and 8 ranks.
. "$srcdir/tests/guest/guest_lib.sh"
enter_guest -t 290

guest_one_device || exit 1
export FERRULE_IB_HCA=rxe0

# How many queue pairs, regions and so on there are.
held() {
	rdma resource show rxe0 | tr -s ' '
}

before=$(held)
for n in 2 3 4 8; do
	check "every collective on $n ranks" gives 0 120 ./ferrule bench all -N $n \
		--transport verbs -b 8 -e 64K -f 16 -n 2 -w 0 -c 1
	check "... is exact" prints '^# Out of bounds values : 0 OK'
done
check "the kernel holds what it held before" test "$(held)" = "$before"
finish guest/verbs_collectives
