/* The Python type of the loop. */

#include "native.h"

#include <sys/epoll.h>
#include <unistd.h>

static PyObject *pump_add_py(PyObject *self, PyObject *arguments)
{
    int fd, mask;
    PyObject *handler;
    if (!PyArg_ParseTuple(arguments, "iiO", &fd, &mask, &handler))
        return NULL;
    Kind kind = CALLABLE;
    if (PyCFunction_Check(handler)) { /* our own handlers are called directly, without Python */
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
    if (!PyArg_ParseTuple(arguments, "ii", &fd, &mask) || pump_control((Pump *)self, EPOLL_CTL_MOD, fd, mask) < 0)
        return NULL;
    Py_RETURN_NONE;
}

static PyObject *pump_remove_py(PyObject *self, PyObject *number)
{
    int fd;
    if (int_of(number, &fd) < 0 || pump_remove((Pump *)self, fd) < 0)
        return NULL;
    Py_RETURN_NONE;
}

static PyObject *pump_add_foreign(PyObject *self, PyObject *number)
{
    int fd;
    if (int_of(number, &fd) < 0 || pump_control((Pump *)self, EPOLL_CTL_ADD, fd, EPOLLIN) < 0)
        return NULL;
    Py_RETURN_NONE;
}

/* Return the handler of a descriptor's events, None if there is none; for `_failed`. */
static PyObject *pump_handler_of(PyObject *self, PyObject *number)
{
    int fd;
    if (int_of(number, &fd) < 0)
        return NULL;
    Slot *slot = pump_slot((Pump *)self, fd);
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
    while (self->first < self->last)
        Py_DECREF(pump_take_soon(self));
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
    for (int i = self->first; i < self->last; i++)
        Py_VISIT(self->soon[i].leg);
    return 0;
}

static void pump_dealloc(PyObject *object)
{
    Pump *self = (Pump *)object;
    PyObject_GC_UnTrack(object);
    pump_clear(object);
    PyMem_Free(self->soon);
    if (self->epfd >= 0)
        close(self->epfd);
    Py_TYPE(object)->tp_free(object);
}

static PyObject *pump_new(PyTypeObject *type, PyObject *Py_UNUSED(arguments), PyObject *Py_UNUSED(keywords))
{
    Pump *self = (Pump *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    self->keeps_time = 1;
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
    {"remove", pump_remove_py, METH_O, "See poller.Pump."},
    {"run", (PyCFunction)(void (*)(void))pump_run, METH_FASTCALL, "See poller.Pump."},
    {"serve", (PyCFunction)(void (*)(void))pump_serve, METH_FASTCALL, "See poller.Pump."},
    {"add_foreign", pump_add_foreign, METH_O, "See poller.Pump."},
    {"handler_of", pump_handler_of, METH_O, "Return who is told of a descriptor's events, None if nobody is."},
    {"fileno", pump_fileno, METH_NOARGS, "See poller.Pump."},
    {"close", pump_close, METH_NOARGS, "See poller.Pump."},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef pump_members[] = {
    {"keeps_time", T_BOOL, offsetof(Pump, keeps_time), 0, "Whether it times an OPENED that waits for company."},
    {"must_return", T_BOOL, offsetof(Pump, must_return), 0, "See poller.Pump."},
    {NULL, 0, 0, 0, NULL},
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
    .tp_members = pump_members,
};
