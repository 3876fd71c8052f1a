/* The floor: a blocking echo of an extender's calls. No look-ups, no JSON: names are found by
 * memchr, and what comes is written back. One client at a time.
 *
 *     cc -O2 -o floor floor.c && ./floor      prints the port of loopback that it listens on
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

static char *in, *out;
static size_t room = 1 << 16, out_room = 1 << 16;

static void grow(char **buffer, size_t *size, size_t wanted) {
    if (wanted <= *size) return;
    while (*size < wanted) *size *= 2;
    *buffer = realloc(*buffer, *size);
    if (!*buffer) exit(1);
}

/* A name of one character takes four bytes of the body and 24 of the answer. */
#define GROWTH 8

/* Writes a score for each quoted name between `at` and `end`; the length. */
static size_t scores(const char *at, const char *end) {
    grow(&out, &out_room, GROWTH * (size_t)(end - at) + 1024);
    char *to = out;
    *to++ = '[';
    while ((at = memchr(at, '"', end - at))) {
        const char *stop = memchr(at + 1, '"', end - at - 1);
        if (!stop) break;
        if (to + (stop - at) + 64 > out + out_room) exit(1);
        if (to[-1] == '}') *to++ = ',';
        memcpy(to, "{\"Host\":", 8), to += 8;
        memcpy(to, at, stop + 1 - at), to += stop + 1 - at;
        memcpy(to, ",\"Score\":1}", 11), to += 11;
        at = stop + 1;
    }
    *to++ = ']';
    return to - out;
}

static int sent(int client, struct iovec *parts, int count) {
    while (count) {
        ssize_t wrote = writev(client, parts, count);
        if (wrote < 0) return 0;
        while (count && (size_t)wrote >= parts->iov_len) wrote -= parts->iov_len, parts++, count--;
        if (count) parts->iov_base = (char *)parts->iov_base + wrote, parts->iov_len -= wrote;
    }
    return 1;
}

static int answered(int client, const char *body, size_t length, int filter) {
    static const char names_key[] = "\"NodeNames\":", nodes_key[] = "\"Nodes\":";
    char *names = memmem(body, length, names_key, sizeof names_key - 1);
    char *nodes = memmem(body, length, nodes_key, sizeof nodes_key - 1);
    if (!names || !nodes) return 0;
    const char *end = body + length - 1, *start = filter ? nodes : names + sizeof names_key - 1;
    static const char rest[] = ",\"FailedNodes\":{},\"FailedAndUnresolvableNodes\":{},\"Error\":\"\"}";
    char head[160];
    struct iovec parts[4] = {{head, 0}, {"{", filter}, {(char *)start, end - start}, {(char *)rest, filter ? sizeof rest - 1 : 0}};
    if (!filter) parts[2] = (struct iovec){out, 0}, parts[2].iov_len = scores(start, end), parts[2].iov_base = out;
    size_t whole = parts[1].iov_len + parts[2].iov_len + parts[3].iov_len;
    parts[0].iov_len = snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n", whole);
    return sent(client, parts, 4);
}

static void serve(int client) {
    size_t have = 0;
    for (;;) {
        char *end = NULL;
        while (!(end = have ? memmem(in, have, "\r\n\r\n", 4) : NULL)) {
            grow(&in, &room, have + 65536);
            ssize_t got = recv(client, in + have, room - have, 0);
            if (got <= 0) return;
            have += got;
        }
        size_t head = end + 4 - in;
        *end = 0;
        char *field = strcasestr(in, "content-length:");
        size_t length = field ? strtoul(field + 15, NULL, 10) : 0;
        int filter = !memcmp(in, "POST /f", 7);
        grow(&in, &room, head + length);
        while (have < head + length) {
            ssize_t got = recv(client, in + have, head + length - have, 0);
            if (got <= 0) return;
            have += got;
        }
        if (!answered(client, in + head, length, filter)) return;
        memmove(in, in + head + length, have - head - length);
        have -= head + length;
    }
}

int main(void) {
    int on = 1, listener = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof at;
    if (bind(listener, (struct sockaddr *)&at, size) || listen(listener, 4)) return 1;
    getsockname(listener, (struct sockaddr *)&at, &size);
    printf("%d\n", ntohs(at.sin_port));
    fflush(stdout);
    in = malloc(room), out = malloc(out_room);
    for (;;) {
        int client = accept(listener, NULL, NULL);
        if (client < 0) return 1;
        setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        serve(client);
        close(client);
    }
}
