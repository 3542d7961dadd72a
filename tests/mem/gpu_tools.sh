#!/bin/sh
# GPU memory as the program's users see it, on stand-ins: a CUDA driver whose GPU is a memfd and
# a verbs device that maps its dma-bufs.  Nothing here has run on a GPU.
. "$srcdir/tests/tools/tools_lib.sh"

# A setting or a driver of the tester's own would change what is seen.
unset FERRULE_GDR FERRULE_IB_HCA STANDIN_CUDA_DMABUF STANDIN_DMABUF
use_standin

# $on_gpu COMMAND...: with both stand-ins.
cat >"$work/on_gpu" <<END
#!/bin/sh
LD_LIBRARY_PATH=tests/mem/cuda\${LD_LIBRARY_PATH:+:\$LD_LIBRARY_PATH}
export LD_LIBRARY_PATH
exec sh "$srcdir/tests/support/standin/run-on-standin.sh" "\$@"
END
chmod +x "$work/on_gpu"
on_gpu=$work/on_gpu

# --- info
check "info" gives 0 "$on_gpu" ./ferrule info
check "... has the pair" prints "GPU 0 (memfd), standin0: staged, distance: none, flush: none"
check "... and why" prints "standin0 is no PCI device"
check "a forced way" gives 0 env FERRULE_GDR=dmabuf "$on_gpu" ./ferrule info --json
check "... is JSON" is_json "$work/out"
check "... is followed, with the flush it needs" grep -q \
	'"gpu": 0, "gpu_name": "memfd", "nic": "standin0", "way": "dmabuf", .*"flush": "driver"' \
	"$work/out"

# --- bw and lat
for op in write write_imm send read; do
	check "bw of GPU memory, $op" gives 0 "$on_gpu" ./ferrule bw --local --transport verbs \
		--op $op --gpu 0 -s 64K -n 100 --data_validation
done
check "lat of GPU memory" gives 0 "$on_gpu" ./ferrule lat --local --transport verbs --op send \
	--gpu 0 -s 4K -n 100 --data_validation
check "no such GPU" gives 1 "$on_gpu" ./ferrule bw --local --transport verbs --gpu 1
check "... says how many" complains "GPU 1: there are 1"
check "a driver without dma-buf" gives 2 env STANDIN_CUDA_DMABUF=0 "$on_gpu" \
	./ferrule bw --local --transport verbs --gpu 0
check "... says what is missing" complains "its driver gives no dma-buf"
check "a card without dma-buf" gives 2 env STANDIN_DMABUF=0 "$on_gpu" \
	./ferrule bw --local --transport verbs --gpu 0
check "... says what is missing" complains "no dma-buf support"
check "staged by wish" gives 2 env FERRULE_GDR=staged "$on_gpu" \
	./ferrule bw --local --transport verbs --gpu 0
check "... says so" complains "FERRULE_GDR=staged"

finish gpu_tools
