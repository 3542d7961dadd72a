/* t_folder.h - what lies in a folder. */
#ifndef T_FOLDER_H
#define T_FOLDER_H

#include <stdbool.h>

/* t_folder_count - entries whose names begin with `prefix` ("" for all); 0 without the folder. */
int t_folder_count(const char *folder, const char *prefix);
/* t_has_meeting_place - has this process left a folder for a private socket in /dev/shm? */
bool t_has_meeting_place(void);

#endif
