/* See fast/sending.SendingLeg: the sending half of a leg. */

#include "native.h"

#include <sys/epoll.h>
#include <sys/socket.h>

int leg_be_watched(Leg *self)
{
    self->watched = 1;
    PyObject *watch = missing(self->tools) ? NULL : PyObject_GetAttr(self->tools, names.watch);
    int done = watch == NULL ? -1 : call1(watch, names.add, (PyObject *)self);
    Py_XDECREF(watch);
    return done;
}

int leg_watch(Leg *self, int mask)
{
    if (mask == self->mask || self->fd < 0)
        return 0;
    self->mask = mask;
    return poller_set(self->poller, self->fd, mask);
}

Py_ssize_t leg_unsent(Leg *self)
{
    if (IS_NONE(self->up))
        return waiting(self->out) + (self->session == NULL ? 0 : PyBytes_GET_SIZE(self->records));
    PyObject *count = PyObject_CallMethodNoArgs((PyObject *)self, names.unsent);
    Py_ssize_t unsent = count == NULL ? -1 : PyLong_AsSsize_t(count);
    Py_XDECREF(count);
    return unsent;
}

int leg_set_blocked(Leg *self, int blocked)
{
    self->blocked = (char)blocked;
    if (leg_watch(self, blocked ? self->mask | EPOLLOUT : self->mask & ~EPOLLOUT) < 0)
        return -1;
    PyObject *local = self->local;
    if (IS_NONE(local) || self->held)
        return 0;
    Py_INCREF(local);
    int reading = IS_LOCAL(local) ? ((Local *)local)->reading : truth(local, names.reading), done = 0;
    if (reading < 0)
        done = -1;
    else if (reading == blocked)
        done = IS_LOCAL(local) ? local_read_more((Local *)local, !blocked)
                               : call1(local, names.read_more, blocked ? Py_False : Py_True);
    Py_DECREF(local);
    return done;
}

int leg_write(Leg *self, const char *data, Py_ssize_t size)
{
    if (!self->watched && leg_be_watched(self) < 0)
        return -1;
    self->unhurried = 0;
    if (append(&self->out, data, size) < 0)
        return -1;
    return self->corked || leg_flush(self) >= 0 ? 0 : -1;
}

static int keep(Leg *self, const char *data, Py_ssize_t size)
{
    if (append(&self->out, data, size) < 0)
        return -1;
    if (self->unhurried) {
        self->unhurried = 0;
        return self->corked || leg_flush(self) >= 0 ? 0 : -1;
    }
    return self->corked ? 0 : leg_set_blocked(self, 1);
}

int leg_send(Leg *self, const char *data, Py_ssize_t size)
{
    if (self->corked || waiting(self->out) || (self->session != NULL && PyBytes_GET_SIZE(self->records)))
        return keep(self, data, size);
    if (self->session != NULL)
        return tls_send(self, data, size);
    ssize_t sent = send(self->fd, data, (size_t)size, MSG_NOSIGNAL);
    if (sent == size)
        return 0;
    if (sent < 0) {
        if (!not_now())
            return 0; /* the leg's own event will report the error */
        sent = 0;
    }
    return keep(self, data + sent, size - sent);
}

int leg_flush(Leg *self)
{
    if (!IS_NONE(self->up)) {
        PyObject *moved = PyObject_CallMethodOneArg((PyObject *)self, names.flush_pipe, self->up);
        int all = moved == NULL ? -1 : PyObject_IsTrue(moved);
        Py_XDECREF(moved);
        if (all <= 0)
            return all;
    }
    if (self->session != NULL)
        return tls_flush(self);
    Py_ssize_t size = waiting(self->out);
    if (size) {
        ssize_t sent = send(self->fd, PyByteArray_AS_STRING(self->out), (size_t)size, MSG_NOSIGNAL);
        if (sent >= 0) {
            if (drop_front(self->out, sent) < 0)
                return -1;
        } else if (!not_now()) {
            /* The descriptor's next event reports the error; a writer is not called back. */
            return drop_front(self->out, size);
        }
    }
    int left = waiting(self->out) > 0;
    if ((left || self->blocked) && leg_set_blocked(self, left) < 0)
        return -1;
    return !left;
}

int leg_uncork(Leg *self)
{
    self->corked = 0;
    if (waiting(self->out) && !self->unhurried && self->state != rules.closed)
        return leg_flush(self) < 0 ? -1 : 0;
    return 0;
}

/* Uncork after a step that succeeded or (`done` below 0) failed. An exception of that step is kept. Returns 0 or -1. */
int leg_uncork_behind(Leg *self, int done)
{
    if (done >= 0)
        return leg_uncork(self);
    PyObject *type, *value, *trace;
    PyErr_Fetch(&type, &value, &trace);
    if (leg_uncork(self) < 0)
        PyErr_Clear();
    PyErr_Restore(type, value, trace);
    return -1;
}

/* Send the frames that waited for others to leave with. */
int leg_flush_now(Leg *self)
{
    if (!self->unhurried)
        return 0;
    self->unhurried = 0;
    return waiting(self->out) && self->state != rules.closed && leg_flush(self) < 0 ? -1 : 0;
}
