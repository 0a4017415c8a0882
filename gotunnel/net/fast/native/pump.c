/* See fast/poller.Pump: an epoll set of our own, which the reactor runs. */

#include "native.h"

#include <errno.h>
#include <math.h>
#include <sys/epoll.h>
#include <unistd.h>

#define MOST_EVENTS 128 /* see poller.MOST_EVENTS */
#define LONGEST_WAIT 86400000 /* milliseconds; for a longer wait the caller calls again */

static int failed_system(void)
{
    PyErr_SetFromErrno(PyExc_OSError);
    return -1;
}

int pump_control(Pump *self, int operation, int fd, int mask)
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

Slot *pump_slot(Pump *self, int fd)
{
    Slot *slot = fd >= 0 && fd < self->room ? &self->slots[fd] : NULL;
    return slot != NULL && slot->kind != NOBODY ? slot : NULL;
}

int pump_add(Pump *self, int fd, int mask, PyObject *handler, Kind kind)
{
    if (fd < 0) {
        errno = EBADF;
        return failed_system();
    }
    if (pump_control(self, EPOLL_CTL_ADD, fd, mask) < 0) /* before the room: an invalid number must not take any */
        return -1;
    if (make_room(self, fd) < 0) {
        epoll_ctl(self->epfd, EPOLL_CTL_DEL, fd, NULL);
        return -1;
    }
    PyObject *old = self->slots[fd].handler;
    Py_INCREF(handler);
    self->slots[fd] = (Slot){handler, self->round, kind};
    Py_XDECREF(old);
    return 0;
}

int pump_remove(Pump *self, int fd)
{
    Slot *slot = pump_slot(self, fd);
    if (slot == NULL) {
        PyErr_Format(PyExc_KeyError, "%d", fd);
        return -1;
    }
    PyObject *handler = slot->handler;
    *slot = (Slot){NULL, 0, NOBODY};
    int done = pump_control(self, EPOLL_CTL_DEL, fd, 0);
    Py_DECREF(handler); /* last, since it may close the descriptor */
    return done;
}

/* For legs and local connections, which may use another poller. */

int poller_add(PyObject *poller, int fd, int mask, PyObject *handler, Kind kind)
{
    if (missing(poller))
        return -1;
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
    if (missing(poller))
        return -1;
    if (PyObject_TypeCheck(poller, &PumpType))
        return pump_control((Pump *)poller, EPOLL_CTL_MOD, fd, mask);
    PyObject *done = PyObject_CallMethod(poller, "set", "ii", fd, mask);
    Py_XDECREF(done);
    return done == NULL ? -1 : 0;
}

int poller_remove(PyObject *poller, int fd)
{
    if (missing(poller))
        return -1;
    if (PyObject_TypeCheck(poller, &PumpType))
        return pump_remove((Pump *)poller, fd);
    PyObject *done = PyObject_CallMethod(poller, "remove", "i", fd);
    Py_XDECREF(done);
    return done == NULL ? -1 : 0;
}

/* Delivery of events. */

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

/* An exception from a handler is a bug: `_failed` logs it and gives the handler ERR, once. */
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

/* An OPENED may wait a little for the target's first bytes, to leave with them: see tools.flush_soon. A reactor timer
 * for this would cost more than the OPENED, so the loop keeps the time itself. */

#define UNHURRIED 0.003 /* seconds; see tools.UNHURRIED */

int pump_flush_soon(Pump *self, Leg *leg)
{
    if (self->last == self->soon_room) {
        int count = self->last - self->first;
        if (self->first < count || self->soon_room == 0) {
            int room = self->soon_room ? 2 * self->soon_room : 64;
            Soon *soon = PyMem_Realloc(self->soon, (size_t)room * sizeof(Soon));
            if (soon == NULL) {
                PyErr_NoMemory();
                return -1;
            }
            self->soon = soon;
            self->soon_room = room;
        }
        memmove(self->soon, self->soon + self->first, (size_t)count * sizeof(Soon));
        self->first = 0;
        self->last = count;
    }
    Py_INCREF(leg);
    self->soon[self->last++] = (Soon){leg, monotonic() + UNHURRIED};
    return 0;
}

Leg *pump_take_soon(Pump *self)
{
    Leg *leg = self->soon[self->first++].leg;
    if (self->first == self->last)
        self->first = self->last = 0;
    return leg;
}

/* Return how long to wait, in milliseconds, so that no OPENED waits too long. */
static int until_soon(Pump *self, int wait)
{
    while (self->first < self->last && !self->soon[self->first].leg->unhurried)
        Py_DECREF(pump_take_soon(self)); /* it was sent meanwhile */
    if (self->first == self->last)
        return wait;
    int left = (int)ceil((self->soon[self->first].due - monotonic()) * 1000);
    left = left < 0 ? 0 : left;
    return wait < 0 || left < wait ? left : wait;
}

static int flush_due(Pump *self)
{
    double time = self->first < self->last ? monotonic() : 0;
    while (self->first < self->last && self->soon[self->first].due <= time) {
        Leg *leg = pump_take_soon(self);
        int done = leg_flush_now(leg);
        if (done < 0)
            done = failed(self, leg->fd, (PyObject *)leg);
        Py_DECREF(leg);
        if (done < 0)
            return -1;
    }
    return 0;
}

/* Wait once and deliver the events. Returns whether `foreign` was among them, or -1. */
static int run_once(Pump *self, double timeout, int foreign)
{
    struct epoll_event events[MOST_EVENTS];
    int got, found = 0;
    double milliseconds = ceil(timeout * 1000);
    int wait = timeout < 0 ? -1 : milliseconds > LONGEST_WAIT ? LONGEST_WAIT : (int)milliseconds;
    wait = until_soon(self, wait);
    Py_BEGIN_ALLOW_THREADS
    got = epoll_wait(self->epfd, events, MOST_EVENTS, wait);
    Py_END_ALLOW_THREADS
    if (got < 0)
        return errno == EINTR ? 0 : failed_system(); /* the caller checks for signals, and waits again */
    unsigned round = ++self->round;
    for (int i = 0; i < got; i++) {
        int fd = events[i].data.fd;
        Slot *slot = pump_slot(self, fd);
        if (slot == NULL) {
            found |= fd == foreign;
            continue;
        }
        /* A handler may have removed a descriptor that has an event in this batch, and its number may be in use again
         * already: events of the new descriptor come with the next batch. */
        if (slot->round == round)
            continue;
        PyObject *handler = slot->handler;
        Py_INCREF(handler);
        int said = tell(slot->kind, handler, (int)events[i].events);
        if (said < 0)
            said = failed(self, fd, handler);
        Py_DECREF(handler);
        if (said < 0)
            return -1;
        if (self->round != round)
            break; /* the handler ran the loop itself: events that still hold are reported again */
    }
    return flush_due(self) < 0 ? -1 : found;
}

static int read_run(PyObject *const *arguments, Py_ssize_t count, double *timeout, int *foreign)
{
    if (count != 2) {
        PyErr_SetString(PyExc_TypeError, "a timeout and a foreign descriptor");
        return -1;
    }
    *timeout = PyFloat_AsDouble(arguments[0]);
    if (*timeout == -1 && PyErr_Occurred())
        return -1;
    if (isnan(*timeout)) {
        PyErr_SetString(PyExc_ValueError, "not a number of seconds");
        return -1;
    }
    return int_of(arguments[1], foreign);
}

PyObject *pump_run(PyObject *object, PyObject *const *arguments, Py_ssize_t count)
{
    double timeout;
    int foreign;
    if (read_run(arguments, count, &timeout, &foreign) < 0)
        return NULL;
    int found = run_once((Pump *)object, timeout, foreign);
    return found < 0 || PyErr_CheckSignals() < 0 ? NULL : PyBool_FromLong(found);
}

/* Most batches only move bytes, which do not concern the reactor. Returning to it each time costs as much as that. */
PyObject *pump_serve(PyObject *object, PyObject *const *arguments, Py_ssize_t count)
{
    Pump *self = (Pump *)object;
    double timeout;
    int foreign, found;
    if (read_run(arguments, count, &timeout, &foreign) < 0)
        return NULL;
    double left = timeout, until = monotonic() + timeout;
    do {
        found = run_once(self, left, foreign);
        if (found < 0 || PyErr_CheckSignals() < 0)
            return NULL;
        if (timeout >= 0)
            left = until - monotonic();
    } while (!found && !self->must_return && (timeout < 0 || left > 0));
    return PyBool_FromLong(found);
}
