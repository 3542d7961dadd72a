/* log.h - lines on stderr, for people: "ferrule: rank 3: warning: ...". */
#ifndef FR_LOG_H
#define FR_LOG_H

enum fr_log_level { FR_LOG_ERROR, FR_LOG_WARNING, FR_LOG_INFO, FR_LOG_DEBUG };

/* fr_log - one line at once (a single write), when FERRULE_LOG allows its level. */
void fr_log(enum fr_log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* fr_log_set_rank - what the prefix says; -1: no rank known. */
void fr_log_set_rank(int rank);
/* fr_log_set_level - by the setting FERRULE_LOG at load. */
void fr_log_set_level(enum fr_log_level level);

#endif
