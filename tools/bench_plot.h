/* bench_plot.h - bus bandwidth, or something else, against size, drawn by gnuplot. */
#ifndef FR_BENCH_PLOT_H
#define FR_BENCH_PLOT_H

#include <stdbool.h>
#include <stddef.h>

struct fr_plot;

/* fr_plot_check - can `file` be drawn?  False with the reason in `why`. */
bool fr_plot_check(const char *file, char *why, size_t n);

/* fr_plot_create - an empty plot; NULL without memory. */
struct fr_plot *fr_plot_create(void);
/* fr_plot_destroy - NULL is a no-op. */
void fr_plot_destroy(struct fr_plot *p);
/* fr_plot_set_axis - what is drawn instead; `axis` must outlive the plot. */
void fr_plot_set_axis(struct fr_plot *p, const char *axis);
/* fr_plot_add - a point of the curve `label`, or of the one beside it for calls in place.  Points
 * that a logarithmic axis cannot show are left out.  False without memory. */
bool fr_plot_add(struct fr_plot *p, const char *label, bool is_in_place, double bytes, double gbps);
/* fr_plot_write - draws `file`, whose name ends in .svg or .png; false with the reason. */
bool fr_plot_write(const struct fr_plot *p, const char *title, const char *file, char *why,
                   size_t n);

#endif
