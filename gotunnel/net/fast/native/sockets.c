/* Where local connections come from: a visitor accepted, a target dialled; see fast/listener and fast/dial. */

#include "native.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

typedef union {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    struct sockaddr_storage room;
} Address;

/* accept(listening fd, type, tools, others): the next visitor. Raises OSError. */
PyObject *accept_one(PyObject *Py_UNUSED(module), PyObject *arguments)
{
    int listening;
    PyObject *type, *tools, *others;
    if (!PyArg_ParseTuple(arguments, "iO!OO!", &listening, &PyType_Type, &type, &tools, &PySet_Type, &others))
        return NULL;
    if (!PyType_IsSubtype((PyTypeObject *)type, &LocalType)) {
        PyErr_SetString(PyExc_TypeError, "no type of local connections");
        return NULL;
    }
    Address from;
    socklen_t size = sizeof from;
    int fd = accept4(listening, &from.any, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0)
        return PyErr_SetFromErrno(PyExc_OSError);
    char text[INET6_ADDRSTRLEN] = "", address[INET6_ADDRSTRLEN + 16];
    const char *host = text;
    int port = 0;
    if (from.any.sa_family == AF_INET) {
        inet_ntop(AF_INET, &from.v4.sin_addr, text, sizeof text);
        port = ntohs(from.v4.sin_port);
    } else if (from.any.sa_family == AF_INET6) {
        inet_ntop(AF_INET6, &from.v6.sin6_addr, text, sizeof text);
        port = ntohs(from.v6.sin6_port);
        if (!strncmp(host, "::ffff:", 7)) /* an IPv4 visitor of a socket for both families */
            host += 7;
    }
    snprintf(address, sizeof address, strchr(host, ':') == NULL ? "%s:%d" : "[%s]:%d", host, port);
    return local_made((PyTypeObject *)type, fd, from.any.sa_family, address, host, tools, others);
}

static PyObject *socket_and(int fd, int family, int error)
{
    if (fd < 0)
        return Py_BuildValue("(Oi)", Py_None, error);
    PyObject *sock = PyObject_CallFunction(rules.socket_type, "iiii", family, SOCK_STREAM, 0, fd);
    if (sock == NULL) {
        close(fd);
        return NULL;
    }
    PyObject *set = PyObject_CallMethod(sock, "setblocking", "O", Py_False);
    if (set == NULL) {
        Py_DECREF(sock);
        return NULL;
    }
    Py_DECREF(set);
    return Py_BuildValue("(Ni)", sock, error);
}

/* dial(host, port, address, type, tools, others, ceiling, control): begin to connect to an IP address, as dial.begin does;
 * `control` is None, or the congestion control to ask for, which may be refused. Returns the connection where it stands at
 * once; None when its descriptor would be `ceiling` or more; else what `begin` returns. */
PyObject *dial(PyObject *Py_UNUSED(module), PyObject *arguments)
{
    static const struct linger reset = {1, 0};
    static const int yes = 1;
    const char *host, *address, *control;
    int port;
    long long ceiling;
    Py_ssize_t control_size;
    PyObject *type, *tools, *others;
    if (!PyArg_ParseTuple(arguments, "sisO!OO!Lz#", &host, &port, &address, &PyType_Type, &type, &tools, &PySet_Type, &others,
                          &ceiling, &control, &control_size))
        return NULL;
    Address to;
    memset(&to, 0, sizeof to);
    socklen_t size = sizeof to.v4;
    if (inet_pton(AF_INET, host, &to.v4.sin_addr) == 1) {
        to.v4.sin_family = AF_INET;
        to.v4.sin_port = htons((uint16_t)port);
    } else if (inet_pton(AF_INET6, host, &to.v6.sin6_addr) == 1) {
        to.v6.sin6_family = AF_INET6;
        to.v6.sin6_port = htons((uint16_t)port);
        size = sizeof to.v6;
    } else {
        Py_RETURN_NONE; /* one with a zone, which Python resolves */
    }
    if (!PyType_IsSubtype((PyTypeObject *)type, &LocalType)) {
        PyErr_SetString(PyExc_TypeError, "no type of local connections");
        return NULL;
    }
    int family = to.any.sa_family, fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return socket_and(-1, family, errno);
    if (fd >= ceiling) {
        close(fd);
        Py_RETURN_NONE;
    }
    if (control != NULL)
        (void)setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, control, (socklen_t)control_size);
    int error = 0;
    if (setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset) < 0 ||
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes) < 0 || connect(fd, &to.any, size) < 0)
        error = errno;
    if (error == EINPROGRESS) { /* on loopback the kernel finishes it within the call */
        Address peer;
        socklen_t room = sizeof peer;
        if (getpeername(fd, &peer.any, &room) < 0)
            return socket_and(fd, family, error);
        error = 0;
    }
    if (error) {
        close(fd);
        return socket_and(-1, family, error);
    }
    return local_made((PyTypeObject *)type, fd, family, address, host, tools, others);
}
