/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/reservation.h"

#include "src/digest.h"
#include "src/patience.h"

#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* All processes must agree on the name of a path, and a path may be longer than a name. Never change it. */
static const struct digest_key name_key = {{0x7368656c76656673, 0x7265736572766520}};

/* Abstract names begin with a NUL and end where the address ends. */
static socklen_t name_path(const char *path, struct sockaddr_un *address)
{
    struct digest digest = digest_bytes(&name_key, bytes_of_string(path));
    int size;

    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    size = snprintf(address->sun_path + 1, sizeof address->sun_path - 1,
                    "shelvefs/%016" PRIx64 "%016" PRIx64, digest.words[0], digest.words[1]);
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)size);
}

int reservation_take(const char *path, unsigned seconds)
{
    struct sockaddr_un address;
    socklen_t size = name_path(path, &address);
    struct patience patience;
    int status, fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -errno;
    patience_start(&patience, seconds);
    do
        status = bind(fd, (struct sockaddr *)&address, size) ? -errno : 0;
    while (status == -EADDRINUSE && patience_wait(&patience));
    if (status == 0)
        return fd;
    close(fd);
    return status == -EADDRINUSE ? -EBUSY : status;
}
