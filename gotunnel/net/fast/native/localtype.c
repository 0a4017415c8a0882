/* The Python type of a local connection. */

#include "native.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

PyObject *local_handle_py(PyObject *self, PyObject *events)
{
    long mask = PyLong_AsLong(events);
    return mask == -1 && PyErr_Occurred() ? NULL : answer(local_handle((Local *)self, (int)mask));
}

static PyObject *waits(int sent)
{
    if (sent < 0)
        return NULL;
    return sent == 2 ? PyErr_SetFromErrno(PyExc_OSError) : PyBool_FromLong(sent);
}

static PyObject *local_send_py(PyObject *self, PyObject *data)
{
    Py_buffer buffer;
    if (PyObject_GetBuffer(data, &buffer, PyBUF_SIMPLE) < 0)
        return NULL;
    struct iovec piece = {buffer.buf, (size_t)buffer.len};
    PyObject *sent = waits(local_send((Local *)self, &piece, 1));
    PyBuffer_Release(&buffer);
    return sent;
}

static PyObject *local_read_more_py(PyObject *self, PyObject *on)
{
    int wanted = PyObject_IsTrue(on);
    return wanted < 0 ? NULL : answer(local_read_more((Local *)self, wanted));
}

static PyObject *local_rest_py(PyObject *self, PyObject *Py_UNUSED(nothing))
{
    return answer(local_rest((Local *)self));
}

static PyObject *local_half_close_py(PyObject *self, PyObject *Py_UNUSED(nothing))
{
    return answer(local_half_close((Local *)self));
}

static PyObject *local_finish_py(PyObject *self, PyObject *Py_UNUSED(nothing))
{
    return answer(local_finish((Local *)self));
}

static PyObject *local_shut_down_py(PyObject *self, PyObject *Py_UNUSED(nothing))
{
    return answer(local_shut_down((Local *)self));
}

static PyObject *local_close_py(PyObject *self, PyObject *Py_UNUSED(nothing))
{
    return answer(local_close((Local *)self));
}

static PyObject *local_watch_py(PyObject *self, PyObject *mask)
{
    long wanted = PyLong_AsLong(mask);
    return wanted == -1 && PyErr_Occurred() ? NULL : answer(local_watch((Local *)self, (int)wanted));
}

static PyObject *local_get_mask(PyObject *object, void *Py_UNUSED(closure))
{
    Local *self = (Local *)object;
    if (self->mask < 0)
        Py_RETURN_NONE;
    return PyLong_FromLong(self->mask);
}

static int local_set_mask(PyObject *object, PyObject *value, void *Py_UNUSED(closure))
{
    if (missing(value))
        return -1;
    long mask = value == Py_None ? -1 : PyLong_AsLong(value);
    if (mask == -1 && PyErr_Occurred())
        return -1;
    ((Local *)object)->mask = (int)mask;
    return 0;
}

static PyObject *local_get_sock(PyObject *object, void *Py_UNUSED(closure))
{
    Local *self = (Local *)object;
    if (self->sock == NULL) {
        if (self->gone) { /* the same error as from any operation on a closed socket */
            errno = EBADF;
            return PyErr_SetFromErrno(PyExc_OSError);
        }
        self->sock = PyObject_CallFunction(rules.socket_type, "iiii", self->family, SOCK_STREAM, 0, self->fd);
        if (self->sock == NULL) /* the descriptor remains ours */
            return NULL;
        /* From here on the socket object owns the descriptor. It must know that the socket is non-blocking. */
        PyObject *set = PyObject_CallMethod(self->sock, "setblocking", "O", Py_False);
        if (set == NULL)
            return NULL;
        Py_DECREF(set);
    }
    Py_INCREF(self->sock);
    return self->sock;
}

static int local_set_sock(PyObject *object, PyObject *value, void *Py_UNUSED(closure))
{
    if (value == NULL) {
        PyErr_SetString(PyExc_TypeError, "a socket");
        return -1;
    }
    hold(&((Local *)object)->sock, value);
    return 0;
}

static PyObject *local_get_out(PyObject *object, void *Py_UNUSED(closure))
{
    Local *self = (Local *)object;
    if (self->out == NULL && append(&self->out, "", 0) < 0)
        return NULL;
    Py_INCREF(self->out);
    return self->out;
}

static int local_set_out(PyObject *object, PyObject *value, void *Py_UNUSED(closure))
{
    if (value == NULL || !PyByteArray_Check(value)) {
        PyErr_SetString(PyExc_TypeError, "a bytearray");
        return -1;
    }
    hold(&((Local *)object)->out, value);
    return 0;
}

static int begin(Local *self, int fd, PyObject *tools, PyObject *others)
{
    self->fd = fd;
    self->mask = -1;
    hold(&self->tools, tools);
    hold(&self->others, others);
    hold(&self->on_gone, rules.ignore);
    Py_XSETREF(self->came_to, PyUnicode_New(0, 0));
    Py_XSETREF(self->poller, PyObject_GetAttrString(tools, "poller"));
    return self->came_to == NULL || self->poller == NULL ? -1 : 0;
}

static PyObject *local_new(PyTypeObject *type, PyObject *arguments, PyObject *Py_UNUSED(keywords))
{
    PyObject *sock, *address, *host, *tools, *others;
    if (!PyArg_ParseTuple(arguments, "OOOOO!", &sock, &address, &host, &tools, &PySet_Type, &others))
        return NULL;
    int fd = PyObject_AsFileDescriptor(sock);
    Local *self = fd < 0 ? NULL : (Local *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    hold(&self->sock, sock);
    hold(&self->address, address);
    hold(&self->host, host);
    if (begin(self, fd, tools, others) < 0)
        Py_CLEAR(self);
    return (PyObject *)self;
}

PyObject *local_made(PyTypeObject *type, int fd, int family, const char *address, const char *host, PyObject *tools,
                     PyObject *others)
{
    Local *self = (Local *)type->tp_alloc(type, 0);
    if (self == NULL) {
        close(fd);
        return NULL;
    }
    self->fd = fd;
    self->owns = 1;
    self->family = family;
    self->address = PyUnicode_FromString(address);
    self->host = PyUnicode_FromString(host);
    /* From here on the descriptor is closed with the object. */
    if (begin(self, fd, tools, others) < 0 || self->address == NULL || self->host == NULL ||
        PySet_Add(others, (PyObject *)self) < 0) {
        Py_DECREF(self);
        return NULL;
    }
    return (PyObject *)self;
}

/* Its object fields are contiguous, from `sock` to `came_to`. */
#define OBJECTS ((offsetof(Local, came_to) - offsetof(Local, sock)) / sizeof(PyObject *) + 1)

static int local_traverse(PyObject *object, visitproc visit, void *arg)
{
    for (size_t i = 0; i < OBJECTS; i++)
        Py_VISIT((&((Local *)object)->sock)[i]);
    return 0;
}

static int local_clear(PyObject *object)
{
    /* Only fields that can be part of a cycle; the others may still be needed. */
    Local *self = (Local *)object;
    PyObject **part[] = {&self->on_gone, &self->partner, &self->leg, &self->pipe, &self->last};
    for (size_t i = 0; i < sizeof part / sizeof *part; i++)
        Py_CLEAR(*part[i]);
    return 0;
}

static void local_dealloc(PyObject *object)
{
    Local *self = (Local *)object;
    PyObject_GC_UnTrack(object);
    if (self->owns && self->sock == NULL && !self->gone)
        close(self->fd); /* nothing else refers to it, and it was not closed */
    for (size_t i = 0; i < OBJECTS; i++)
        Py_CLEAR((&self->sock)[i]);
    Py_TYPE(object)->tp_free(object);
}

static PyMethodDef local_methods[] = {
    {"handle", local_handle_py, METH_O, NULL},
    {"send", local_send_py, METH_O, NULL},
    {"read_more", local_read_more_py, METH_O, NULL},
    {"rest", local_rest_py, METH_NOARGS, NULL},
    {"half_close", local_half_close_py, METH_NOARGS, NULL},
    {"finish", local_finish_py, METH_NOARGS, NULL},
    {"_shut_down", local_shut_down_py, METH_NOARGS, NULL},
    {"_close", local_close_py, METH_NOARGS, NULL},
    {"_watch", local_watch_py, METH_O, NULL},
    {NULL, NULL, 0, NULL},
};

#define OBJECT(python, field) {python, T_OBJECT, offsetof(Local, field), 0, NULL}
#define NEEDED(python, field) {python, T_OBJECT, offsetof(Local, field), READONLY, NULL}
#define FLAG(python, field) {python, T_BOOL, offsetof(Local, field), 0, NULL}

static PyMemberDef local_members[] = {
    OBJECT("address", address), OBJECT("host", host), OBJECT("on_gone", on_gone),
    OBJECT("partner", partner), OBJECT("why", why), OBJECT("leg", leg), OBJECT("pipe", pipe),
    OBJECT("_last", last), OBJECT("_came_to", came_to),
    NEEDED("_poller", poller), NEEDED("_tools", tools), NEEDED("_others", others),
    FLAG("read_ended", read_ended), FLAG("reading", reading), FLAG("begins", begins), FLAG("finishing", finishing),
    FLAG("gone", gone), FLAG("_gets_much", gets_much), FLAG("_half_closing", half_closing), FLAG("_looked_at", looked_at), FLAG("_shut", shut),
    {"fd", T_INT, offsetof(Local, fd), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyGetSetDef local_getset[] = {
    {"sock", local_get_sock, local_set_sock, NULL, NULL},
    {"_mask", local_get_mask, local_set_mask, NULL, NULL},
    {"_out", local_get_out, local_set_out, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

PyTypeObject LocalType = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "gotunnel.net.fast._native.Local",
    .tp_doc = "What is common in fast.local.FastLocal.",
    .tp_basicsize = sizeof(Local),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .tp_new = local_new,
    .tp_dealloc = local_dealloc,
    .tp_traverse = local_traverse,
    .tp_clear = local_clear,
    .tp_methods = local_methods,
    .tp_members = local_members,
    .tp_getset = local_getset,
};
