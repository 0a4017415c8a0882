/* Creates local connections: accepts visitors and dials targets; see fast/listener and fast/dial. */

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

/* Accept one visitor. NULL without an exception: accept failed, with the error in `number`. */
static PyObject *accepted(int listening, PyTypeObject *type, PyObject *tools, PyObject *others, int *number)
{
    Address from;
    socklen_t size = sizeof from;
    int fd = accept4(listening, &from.any, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
    *number = errno;
    if (fd < 0)
        return NULL;
    char text[INET6_ADDRSTRLEN] = "", address[INET6_ADDRSTRLEN + 16];
    const char *host = text;
    int port = 0;
    if (from.any.sa_family == AF_INET) {
        inet_ntop(AF_INET, &from.v4.sin_addr, text, sizeof text);
        port = ntohs(from.v4.sin_port);
    } else if (from.any.sa_family == AF_INET6) {
        inet_ntop(AF_INET6, &from.v6.sin6_addr, text, sizeof text);
        port = ntohs(from.v6.sin6_port);
        if (!strncmp(host, "::ffff:", 7)) /* an IPv4 visitor on a socket for both families */
            host += 7;
    }
    snprintf(address, sizeof address, strchr(host, ':') == NULL ? "%s:%d" : "[%s]:%d", host, port);
    return local_made(type, fd, from.any.sa_family, address, host, tools, others);
}

static int check_type(PyObject *type, PyObject *others)
{
    if (PyType_Check(type) && PyType_IsSubtype((PyTypeObject *)type, &LocalType) && PySet_Check(others))
        return 0;
    PyErr_SetString(PyExc_TypeError, "a type of local connections and a set of them");
    return -1;
}

/* Pass one visitor on. An exception is a bug, and the visitor is closed: nothing else ever would. */
static int hand_over(PyObject *local, PyObject *on_visitor)
{
    PyObject *done = PyObject_CallOneArg(on_visitor, local);
    Py_XDECREF(done);
    if (done != NULL && (!IS_NONE(((Local *)local)->leg) || call(local, names.watch_for_loss) == 0))
        return 0;
    PyObject *type, *value, *trace;
    PyErr_Fetch(&type, &value, &trace);
    if (call(local, names.lost) < 0)
        PyErr_Clear();
    PyErr_Restore(type, value, trace);
    return -1;
}

/* Pass one visitor on and check its descriptor. Returns 1 to go on, 0 to stop, -1. */
static int greet(PyObject *local, PyObject *gate, PyObject *on_visitor)
{
    int fd = ((Local *)local)->fd;
    if (hand_over(local, on_visitor) < 0)
        return -1;
    PyObject *ceiling = PyObject_GetAttr(gate, names.ceiling), *number = PyLong_FromLong(fd);
    int beyond = ceiling == NULL || number == NULL ? -1 : PyObject_RichCompareBool(number, ceiling, Py_GE);
    if (beyond > 0)
        beyond = call1(gate, names.accepted, number);
    Py_XDECREF(ceiling);
    Py_XDECREF(number);
    return beyond < 0 ? -1 : 1;
}

/* Decide what to do about an error of accept(2): 1 to go on, 0 to stop, -1. */
static int refused(PyObject *gate, int number)
{
    if (number == EMFILE || number == ENFILE || number == ENOBUFS || number == ENOMEM)
        return call(gate, names.stop);
    return number != EAGAIN && number != EWOULDBLOCK; /* other errors: it disconnected while in the queue */
}

/* Accept one visitor and pass it on. Returns 1 to go on, 0 to stop, -1. */
static int welcome_one(PyObject *const *part)
{
    PyObject *sock = PyObject_GetAttr(part[5], names.sock); /* None: the port was closed meanwhile */
    int is_short = sock == NULL ? -1 : sock == Py_None ? 1 : truth(part[0], names.short_);
    int listening = is_short == 0 ? PyObject_AsFileDescriptor(sock) : -1;
    Py_XDECREF(sock);
    if (is_short != 0 || listening < 0)
        return is_short > 0 ? 0 : -1;
    int number;
    PyObject *local = accepted(listening, (PyTypeObject *)part[2], part[3], part[4], &number);
    if (local == NULL)
        return PyErr_Occurred() ? -1 : refused(part[0], number);
    int done = greet(local, part[0], part[1]);
    Py_DECREF(local);
    return done;
}

#define ACCEPTS_AT_ONCE 64 /* see listener.ACCEPTS_AT_ONCE */
#define APART 0.0005       /* see listener.APART */

/* welcome(gate, on_visitor, type, tools, others, listener, events): see listener.welcome. */
PyObject *welcome(PyObject *Py_UNUSED(module), PyObject *const *part, Py_ssize_t count)
{
    if (count != 7) {
        PyErr_SetString(PyExc_TypeError, "welcome(gate, on_visitor, type, tools, others, listener, events)");
        return NULL;
    }
    if (check_type(part[2], part[4]) < 0)
        return NULL;
    double time = monotonic();
    PyObject *last = PyObject_GetAttr(part[5], names.last), *this = PyFloat_FromDouble(time);
    double before = last == NULL ? -1 : PyFloat_AsDouble(last);
    int known = this != NULL && !PyErr_Occurred() && PyObject_SetAttr(part[5], names.last, this) == 0;
    Py_XDECREF(last);
    Py_XDECREF(this);
    if (!known)
        return NULL;
    int left = time - before > APART ? 1 : ACCEPTS_AT_ONCE, more = 1;
    while (more > 0 && left-- > 0)
        more = welcome_one(part);
    if (more < 0)
        return NULL;
    Py_RETURN_NONE;
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

/* Whether a connection to this port is connected to itself: see sockets.is_itself. */
static int is_itself(int fd, int port)
{
    Address here, there;
    memset(&here, 0, sizeof here);
    memset(&there, 0, sizeof there);
    socklen_t size = sizeof here, other = sizeof there;
    if (getsockname(fd, &here.any, &size) < 0 || here.v4.sin_port != htons((uint16_t)port)) /* nearly always */
        return 0;
    return getpeername(fd, &there.any, &other) == 0 && size == other && !memcmp(&here, &there, size);
}

/* dial(host, port, address, type, tools, others, ceiling, control): begin to connect to an IP address, like dial.begin.
 * `control` is its congestion control, "" for the system's (see sockets.spare_pacing_at). Returns the connection if it
 * is established at once; None if its descriptor would be `ceiling` or above; else what `begin` returns. */
PyObject *dial(PyObject *Py_UNUSED(module), PyObject *arguments)
{
    static const struct linger reset = {1, 0};
    static const int yes = 1;
    const char *host, *address, *control;
    int port;
    long long ceiling;
    PyObject *type, *tools, *others;
    if (!PyArg_ParseTuple(arguments, "sisOOOLs", &host, &port, &address, &type, &tools, &others, &ceiling, &control) ||
        check_type(type, others) < 0)
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
        Py_RETURN_NONE; /* an address with a zone, which Python resolves */
    }
    /* Audit hooks see this dial like any other, except that there is no socket object. */
    if (PySys_Audit("socket.connect", "O(si)", Py_None, host, port) < 0)
        return NULL;
    int family = to.any.sa_family, fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return socket_and(-1, family, errno);
    if (fd >= ceiling) {
        close(fd);
        Py_RETURN_NONE;
    }
    if (*control) /* a sandbox that forbids it only costs CPU */
        (void)setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, control, (socklen_t)strlen(control));
    int error = 0;
    if (setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset) < 0 ||
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes) < 0 || connect(fd, &to.any, size) < 0)
        error = errno;
    if (error == EINPROGRESS) { /* on loopback the kernel finishes within the call */
        Address peer;
        socklen_t room = sizeof peer;
        if (getpeername(fd, &peer.any, &room) < 0)
            return socket_and(fd, family, error);
        error = 0;
    }
    if (!error && is_itself(fd, port))
        error = ECONNREFUSED;
    if (error) {
        close(fd);
        return socket_and(-1, family, error);
    }
    return local_made((PyTypeObject *)type, fd, family, address, host, tools, others);
}
