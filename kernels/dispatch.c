/* dispatch.c - the one set of kernels in use, chosen from what the processor can do. */
#include "config.h"

#include "kernels/kernels.h"

#include <assert.h>
#include <stdatomic.h>
#include <string.h>

#include "kernels/isa.h"

#if defined(__x86_64__) && defined(FR_VECTOR_KERNELS)
#include <cpuid.h>

static bool has_avx2(void)
{
	unsigned eax, ebx, ecx = 0, edx;

	/* F16C is asked for by cpuid itself: not every compiler's table knows it by name. */
	return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
	       __get_cpuid(1, &eax, &ebx, &ecx, &edx) && (ecx & bit_F16C) != 0;
}

static bool has_avx512(void)
{
	return has_avx2() && __builtin_cpu_supports("avx512f") &&
	       __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
	       __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vnni");
}
#endif

static bool always(void)
{
	return true;
}

/* Best first; the last one works everywhere. */
static const struct {
	const struct fr_isa *isa;
	bool (*is_usable)(void);
} choices[] = {
#if defined(__x86_64__) && defined(FR_VECTOR_KERNELS)
	{&fr_isa_avx512, has_avx512},
	{&fr_isa_avx2, has_avx2},
#endif
	{&fr_isa_reference, always},
};

#define N_CHOICES (sizeof choices / sizeof choices[0])

/* NULL until first use.  Two threads that choose at the same time choose the same. */
static _Atomic(const struct fr_isa *) in_use;

static const struct fr_isa *find_isa(const char *name)
{
	for (size_t i = 0; i < N_CHOICES; i++) {
		const bool is_wanted =
			strcmp(name, "auto") == 0 || strcmp(name, choices[i].isa->name) == 0;
		if (is_wanted && choices[i].is_usable())
			return choices[i].isa;
	}
	return NULL;
}

static const struct fr_isa *current(void)
{
	const struct fr_isa *isa = atomic_load_explicit(&in_use, memory_order_relaxed);

	if (isa == NULL) {
		isa = find_isa("auto");
		atomic_store_explicit(&in_use, isa, memory_order_relaxed);
	}
	return isa;
}

const struct fr_kernel *fr_kernel_get(ferrule_type_t type, ferrule_redop_t op)
{
	const int kernel_op = op == FERRULE_AVG ? FERRULE_SUM : op;

	assert((unsigned)type < FERRULE_N_TYPES && (unsigned)kernel_op < FR_N_KERNEL_OPS);
	const struct fr_isa *isa = current();
	while (isa->kernels[type] == NULL)
		isa = isa->base;
	return &isa->kernels[type][kernel_op];
}

fr_scale_fn *fr_kernel_scale(ferrule_type_t type)
{
	assert((unsigned)type < FERRULE_N_TYPES);
	const struct fr_isa *isa = current();
	while (isa->scale[type] == NULL)
		isa = isa->base;
	return isa->scale[type];
}

static void copy(void *dst, void *dst2, const void *src, size_t bytes, unsigned stream)
{
	const struct fr_isa *isa = current();

	while (isa->copy == NULL)
		isa = isa->base;
	isa->copy(dst, dst2, src, bytes, stream);
}

void fr_copy(void *dst, const void *src, size_t bytes, enum fr_stream stream)
{
	if (stream == FR_STREAM_NONE)
		memcpy(dst, src, bytes);
	else
		copy(dst, NULL, src, bytes, stream);
}

void fr_copy2(void *dst, void *dst2, const void *src, size_t bytes, enum fr_stream stream)
{
	copy(dst, dst2, src, bytes, stream);
}

void fr_stream_fence(void)
{
#ifdef __x86_64__
	__builtin_ia32_sfence();
#else
	atomic_thread_fence(memory_order_release);
#endif
}

const char *fr_kernel_isa(void)
{
	return current()->name;
}

bool fr_kernel_use_isa(const char *isa)
{
	const struct fr_isa *found = find_isa(isa);

	if (found == NULL)
		return false;
	atomic_store_explicit(&in_use, found, memory_order_relaxed);
	return true;
}
