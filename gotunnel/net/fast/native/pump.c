/* See fast/poller.Pump: an epoll set of our own, which the reactor runs. */

#include "native.h"

#include <errno.h>
#include <math.h>
#include <sys/epoll.h>
#include <unistd.h>

#define MOST_EVENTS 128 /* see poller.MOST_EVENTS */

static int failed_system(void)
{
    PyErr_SetFromErrno(PyExc_OSError);
    return -1;
}

static int control(Pump *self, int operation, int fd, int mask)
{
    struct epoll_event event = {.events = (uint32_t)mask, .data.fd = fd};
    return epoll_ctl(self->epfd, operation, fd, &event) < 0 ? failed_system() : 0;
}

static int make_room(Pump *self, int fd)
{
    if (fd < self->room)
        return 0;
    int room = self->room ? self->room : 64;
    while (room <= fd)
        room *= 2;
    Slot *slots = PyMem_Realloc(self->slots, (size_t)room * sizeof(Slot));
    if (slots == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    memset(slots + self->room, 0, (size_t)(room - self->room) * sizeof(Slot));
    self->slots = slots;
    self->room = room;
    return 0;
}

static Slot *slot_of(Pump *self, int fd)
{
    Slot *slot = fd >= 0 && fd < self->room ? &self->slots[fd] : NULL;
    return slot != NULL && slot->kind != NOBODY ? slot : NULL;
}

static int pump_add(Pump *self, int fd, int mask, PyObject *handler, Kind kind)
{
    if (fd < 0) {
        errno = EBADF;
        return failed_system();
    }
    if (make_room(self, fd) < 0 || control(self, EPOLL_CTL_ADD, fd, mask) < 0)
        return -1;
    PyObject *old = self->slots[fd].handler;
    Py_INCREF(handler);
    self->slots[fd] = (Slot){handler, self->round, kind};
    Py_XDECREF(old);
    return 0;
}

static int pump_remove(Pump *self, int fd, int closing)
{
    Slot *slot = slot_of(self, fd);
    if (slot == NULL) {
        PyErr_Format(PyExc_KeyError, "%d", fd);
        return -1;
    }
    PyObject *handler = slot->handler;
    *slot = (Slot){NULL, 0, NOBODY};
    Py_DECREF(handler);
    return closing ? 0 : control(self, EPOLL_CTL_DEL, fd, 0);
}

/* For legs and local connections, which may be on another poller. */

int poller_add(PyObject *poller, int fd, int mask, PyObject *handler, Kind kind)
{
    if (PyObject_TypeCheck(poller, &PumpType))
        return pump_add((Pump *)poller, fd, mask, handler, kind);
    PyObject *method = PyObject_GetAttrString(handler, "handle");
    if (method == NULL)
        return -1;
    PyObject *done = PyObject_CallMethod(poller, "add", "iiN", fd, mask, method);
    Py_XDECREF(done);
    return done == NULL ? -1 : 0;
}

int poller_set(PyObject *poller, int fd, int mask)
{
    if (PyObject_TypeCheck(poller, &PumpType))
        return control((Pump *)poller, EPOLL_CTL_MOD, fd, mask);
    PyObject *done = PyObject_CallMethod(poller, "set", "ii", fd, mask);
    Py_XDECREF(done);
    return done == NULL ? -1 : 0;
}

int poller_remove(PyObject *poller, int fd, int closing)
{
    if (PyObject_TypeCheck(poller, &PumpType))
        return pump_remove((Pump *)poller, fd, closing);
    /* On a reactor's poller it makes no difference whether the descriptor is closed now. */
    PyObject *done = PyObject_CallMethod(poller, "remove", "i", fd);
    Py_XDECREF(done);
    return done == NULL ? -1 : 0;
}

/* Telling. */

static int tell(Kind kind, PyObject *handler, int events)
{
    if (kind == LEG)
        return leg_handle((Leg *)handler, events);
    if (kind == LOCAL)
        return local_handle((Local *)handler, events);
    PyObject *argument = PyLong_FromLong(events);
    if (argument == NULL)
        return -1;
    PyObject *done = PyObject_CallOneArg(handler, argument);
    Py_DECREF(argument);
    Py_XDECREF(done);
    return done == NULL ? -1 : 0;
}

/* What a handler raised is a bug: `_failed` logs it and tells the handler ERR, once. */
static int failed(Pump *self, int fd, PyObject *handler)
{
    PyObject *type, *value, *trace;
    PyErr_Fetch(&type, &value, &trace);
    PyErr_NormalizeException(&type, &value, &trace);
    if (!PyErr_GivenExceptionMatches(type, PyExc_Exception)) {
        PyErr_Restore(type, value, trace);
        return -1;
    }
    if (trace != NULL)
        PyException_SetTraceback(value, trace);
    PyObject *done = PyObject_CallMethod((PyObject *)self, "_failed", "iOO", fd, handler, value);
    Py_XDECREF(type);
    Py_XDECREF(value);
    Py_XDECREF(trace);
    Py_XDECREF(done);
    return done == NULL ? -1 : 0;
}

static PyObject *pump_run(PyObject *object, PyObject *const *arguments, Py_ssize_t count)
{
    Pump *self = (Pump *)object;
    struct epoll_event events[MOST_EVENTS];
    if (count != 2) {
        PyErr_SetString(PyExc_TypeError, "run(timeout, foreign)");
        return NULL;
    }
    double timeout = PyFloat_AsDouble(arguments[0]);
    int foreign = (int)PyLong_AsLong(arguments[1]);
    if (PyErr_Occurred())
        return NULL;
    double milliseconds = ceil(timeout * 1000);
    int wait = timeout < 0 ? -1 : milliseconds > 86400000 ? 86400000 : (int)milliseconds, got, found = 0;
    Py_BEGIN_ALLOW_THREADS
    got = epoll_wait(self->epfd, events, MOST_EVENTS, wait);
    Py_END_ALLOW_THREADS
    if (got < 0) {
        if (errno != EINTR)
            return PyErr_SetFromErrno(PyExc_OSError);
        if (PyErr_CheckSignals() < 0)
            return NULL;
        Py_RETURN_FALSE; /* the reactor asks again, with what is left of its time */
    }
    self->round++;
    for (int i = 0; i < got; i++) {
        int fd = events[i].data.fd;
        Slot *slot = slot_of(self, fd);
        if (slot == NULL) {
            found |= fd == foreign;
            continue;
        }
        /* A handler may have removed a descriptor whose event is in the same batch, and its number may belong to a new
         * one already: that one's own events come with the next batch. */
        if (slot->round == self->round)
            continue;
        PyObject *handler = slot->handler;
        Py_INCREF(handler);
        int said = tell(slot->kind, handler, (int)events[i].events);
        if (said < 0)
            said = failed(self, fd, handler);
        Py_DECREF(handler);
        if (said < 0)
            return NULL;
    }
    return PyBool_FromLong(found);
}

static PyObject *pump_add_py(PyObject *self, PyObject *arguments)
{
    int fd, mask;
    PyObject *handler;
    if (!PyArg_ParseTuple(arguments, "iiO", &fd, &mask, &handler))
        return NULL;
    Kind kind = CALLABLE;
    if (PyCFunction_Check(handler)) { /* one of ours need not be called by way of Python */
        PyCFunction function = PyCFunction_GET_FUNCTION(handler);
        if (function == leg_handle_py || function == local_handle_py) {
            kind = function == leg_handle_py ? LEG : LOCAL;
            handler = PyCFunction_GET_SELF(handler);
        }
    }
    if (pump_add((Pump *)self, fd, mask, handler, kind) < 0)
        return NULL;
    Py_RETURN_NONE;
}

static PyObject *pump_set_py(PyObject *self, PyObject *arguments)
{
    int fd, mask;
    if (!PyArg_ParseTuple(arguments, "ii", &fd, &mask) || control((Pump *)self, EPOLL_CTL_MOD, fd, mask) < 0)
        return NULL;
    Py_RETURN_NONE;
}

static PyObject *pump_remove_py(PyObject *self, PyObject *arguments, PyObject *keywords)
{
    static char *known[] = {"fd", "closing", NULL};
    int fd, closing = 0;
    if (!PyArg_ParseTupleAndKeywords(arguments, keywords, "i|$p", known, &fd, &closing))
        return NULL;
    if (pump_remove((Pump *)self, fd, closing) < 0)
        return NULL;
    Py_RETURN_NONE;
}

static PyObject *pump_add_foreign(PyObject *self, PyObject *number)
{
    int fd = (int)PyLong_AsLong(number);
    if ((fd == -1 && PyErr_Occurred()) || control((Pump *)self, EPOLL_CTL_ADD, fd, EPOLLIN) < 0)
        return NULL;
    Py_RETURN_NONE;
}

/* Returns who is told of a descriptor's events, None if nobody is: for `_failed`. */
static PyObject *pump_handler_of(PyObject *self, PyObject *number)
{
    int fd = (int)PyLong_AsLong(number);
    if (fd == -1 && PyErr_Occurred())
        return NULL;
    Slot *slot = slot_of((Pump *)self, fd);
    PyObject *handler = slot == NULL ? Py_None : slot->handler;
    Py_INCREF(handler);
    return handler;
}

static PyObject *pump_fileno(PyObject *self, PyObject *Py_UNUSED(nothing))
{
    return PyLong_FromLong(((Pump *)self)->epfd);
}

static int pump_clear(PyObject *object)
{
    Pump *self = (Pump *)object;
    Slot *slots = self->slots;
    int room = self->room;
    self->slots = NULL;
    self->room = 0;
    for (int fd = 0; fd < room; fd++)
        Py_XDECREF(slots[fd].handler);
    PyMem_Free(slots);
    return 0;
}

static PyObject *pump_close(PyObject *object, PyObject *Py_UNUSED(nothing))
{
    Pump *self = (Pump *)object;
    pump_clear(object);
    if (self->epfd >= 0)
        close(self->epfd);
    self->epfd = -1;
    Py_RETURN_NONE;
}

static int pump_traverse(PyObject *object, visitproc visit, void *arg)
{
    Pump *self = (Pump *)object;
    for (int fd = 0; fd < self->room; fd++)
        Py_VISIT(self->slots[fd].handler);
    return 0;
}

static void pump_dealloc(PyObject *object)
{
    Pump *self = (Pump *)object;
    PyObject_GC_UnTrack(object);
    pump_clear(object);
    if (self->epfd >= 0)
        close(self->epfd);
    Py_TYPE(object)->tp_free(object);
}

static PyObject *pump_new(PyTypeObject *type, PyObject *Py_UNUSED(arguments), PyObject *Py_UNUSED(keywords))
{
    Pump *self = (Pump *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    self->epfd = epoll_create1(EPOLL_CLOEXEC);
    if (self->epfd < 0) {
        PyErr_SetFromErrno(PyExc_OSError);
        Py_DECREF(self);
        return NULL;
    }
    return (PyObject *)self;
}

static PyMethodDef pump_methods[] = {
    {"add", pump_add_py, METH_VARARGS, "See poller.Pump."},
    {"set", pump_set_py, METH_VARARGS, "See poller.Pump."},
    {"remove", (PyCFunction)(void (*)(void))pump_remove_py, METH_VARARGS | METH_KEYWORDS, "See poller.Pump."},
    {"run", (PyCFunction)(void (*)(void))pump_run, METH_FASTCALL, "See poller.Pump."},
    {"add_foreign", pump_add_foreign, METH_O, "See poller.Pump."},
    {"handler_of", pump_handler_of, METH_O, "Return who is told of a descriptor's events, None if nobody is."},
    {"fileno", pump_fileno, METH_NOARGS, "See poller.Pump."},
    {"close", pump_close, METH_NOARGS, "See poller.Pump."},
    {NULL, NULL, 0, NULL},
};

PyTypeObject PumpType = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "gotunnel.net.fast._native.Pump",
    .tp_doc = "See poller.Pump; a subclass says what happens when a handler fails.",
    .tp_basicsize = sizeof(Pump),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .tp_new = pump_new,
    .tp_dealloc = pump_dealloc,
    .tp_traverse = pump_traverse,
    .tp_clear = pump_clear,
    .tp_methods = pump_methods,
};
