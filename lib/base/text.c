#include "config.h"

#include "lib/base/text.h"

#include <locale.h>

/* The thread's locale becomes "C"; returns the one before, 0 when nothing was changed. */
static locale_t enter(void)
{
	/* For this name C libraries return an object of their own: nothing is allocated. */
	const locale_t plain = newlocale(LC_ALL_MASK, "C", (locale_t)0);

	return plain ? uselocale(plain) : (locale_t)0;
}

static void leave(locale_t before)
{
	if (before)
		freelocale(uselocale(before));
}

int fr_vformat(char *out, size_t bytes, const char *format, va_list args)
{
	const locale_t before = enter();
	const int length = vsnprintf(out, bytes, format, args);

	leave(before);
	return length;
}

int fr_format(char *out, size_t bytes, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	const int length = fr_vformat(out, bytes, format, args);
	va_end(args);
	return length;
}

int fr_print(FILE *out, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	const locale_t before = enter();
	const int length = vfprintf(out, format, args);
	leave(before);
	va_end(args);
	return length;
}
