/* t_sanitizer.h - what the compiler was asked to watch, for tests that it changes or slows down. */
#ifndef T_SANITIZER_H
#define T_SANITIZER_H

/* gcc defines a macro for each, clang answers a question. */
#if defined(__SANITIZE_ADDRESS__)
#define T_ADDRESS_SANITIZER 1
#elif defined(__SANITIZE_THREAD__)
#define T_THREAD_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define T_ADDRESS_SANITIZER 1
#elif __has_feature(thread_sanitizer)
#define T_THREAD_SANITIZER 1
#endif
#endif
#ifndef T_ADDRESS_SANITIZER
#define T_ADDRESS_SANITIZER 0
#endif
#ifndef T_THREAD_SANITIZER
#define T_THREAD_SANITIZER 0
#endif
#define T_SANITIZED (T_ADDRESS_SANITIZER || T_THREAD_SANITIZER)

#endif
