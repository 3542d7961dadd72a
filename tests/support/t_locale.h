/* t_locale.h - a program whose locale has a decimal comma, whatever is installed. */
#ifndef T_LOCALE_H
#define T_LOCALE_H

#include <stdbool.h>

/*
 * t_locale_comma - from here to t_locale_end() printf writes "1,5", and strtod reads it.
 *
 * The locale is made on the spot by localedef, which every system with glibc has.  False, after
 * t_skip(), where that does not work.
 */
bool t_locale_comma(void);
/* t_locale_end - the locale "C" again; removes what t_locale_comma() made. */
void t_locale_end(void);

#endif
