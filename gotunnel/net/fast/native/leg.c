/* See fast/leg.FastLeg: handles the events of the poller and of the local connection. */

#include "native.h"

#include <sys/epoll.h>
#include <sys/socket.h>

#define ERR (EPOLLERR | EPOLLHUP)

/* Called by the poller. */

/* Read from the leg. Returns the number of bytes; 0 if there are none, or if the end was reported to the leg; -1. */
Py_ssize_t leg_read(Leg *self, char *buffer, Py_ssize_t size)
{
    ssize_t count = recv(self->fd, buffer, (size_t)size, 0);
    if (count < 0 && not_now())
        return 0;
    if (count <= 0)
        return call((PyObject *)self, names.lost_on_read);
    return seconds_of(self->clock, &self->last_received) < 0 ? -1 : count;
}

static int readable(Leg *self)
{
    PyObject *local = self->local;
    if (!IS_NONE(local) && (!IS_LOCAL(local) || !IS_NONE(((Local *)local)->pipe)))
        return call((PyObject *)self, names.readable); /* datagrams, or a large transfer through a pipe */
    if (self->session != NULL)
        return tls_readable(self);
    Py_ssize_t count = leg_read(self, self->in, self->in_size);
    if (count <= 0)
        return (int)count;
    if (leg_take(self, self->from_leg, self->in, count) < 0)
        return -1;
    return self->left >= self->bulk ? call((PyObject *)self, names.bulk_in) : 0;
}

/* Handle a RemoteProtocolError that is set: the other end broke the protocol. */
static int breach(Leg *self)
{
    PyObject *problem = take_problem();
    PyObject *reason = PyObject_GetAttr(problem, names.reason);
    int done = reason == NULL ? -1 : call1((PyObject *)self, names.breach, reason);
    Py_XDECREF(reason);
    Py_DECREF(problem);
    return done;
}

static int give_up(Leg *self, const char *reason)
{
    PyObject *words = PyUnicode_FromString(reason);
    int done = words == NULL ? -1 : call1((PyObject *)self, names.give_up, words);
    Py_XDECREF(words);
    return done;
}

int leg_handle(Leg *self, int events)
{
    int done = 0;
    Py_INCREF(self);
    self->corked = 1;
    if (events & EPOLLOUT)
        done = leg_flush(self);
    if (done >= 0) {
        if (events & EPOLLIN && !self->full && !self->dialling)
            done = readable(self);
        else if (events & ERR && self->state != rules.closed)
            done = give_up(self, "the connection broke");
        else if (events & EPOLLIN)
            done = leg_watch(self, self->mask & ~EPOLLIN); /* reading is paused, and this is the first event since */
    }
    if (done < 0 && PyErr_ExceptionMatches(rules.breach))
        done = breach(self);
    done = leg_uncork_behind(self, done);
    Py_DECREF(self);
    return done;
}

/* Called by the local connection. */

static int local_ended(Leg *self, Local *local)
{
    local->read_ended = 1;
    local->reading = 0;
    self->corked = 1;
    return leg_uncork_behind(self, leg_happen(self, rules.local_eof)) < 0 ? -1 : local_rest(local);
}

int leg_local_readable(Leg *self)
{
    PyObject *object = self->local;
    if (IS_NONE(object))
        return 0;
    if (!IS_LOCAL(object)) {
        PyObject *done = PyObject_CallOneArg(rules.local_readable, (PyObject *)self);
        Py_XDECREF(done);
        return done == NULL ? -1 : 0;
    }
    Local *local = (Local *)object;
    Py_INCREF(local);
    int done = self->watched ? 0 : leg_be_watched(self);
    if (done < 0) {
        ;
    } else if (!IS_NONE(self->up)) {
        PyObject *arguments[] = {(PyObject *)self, object, self->up};
        PyObject *moved = PyObject_VectorcallMethod(names.splice_out, arguments, 3, NULL);
        done = moved == NULL ? -1 : 0;
        Py_XDECREF(moved);
    } else {
        ssize_t count = recv(local->fd, self->to_send + HEADER_BYTES, (size_t)self->landing, 0);
        if (count > 0) {
            unsigned char *header = (unsigned char *)self->to_send;
            header[0] = 0, header[1] = (unsigned char)(count >> 16);
            header[2] = (unsigned char)(count >> 8), header[3] = (unsigned char)count;
            if (!IS_NONE(self->tally))
                done = tally_add(self->tally, 0, count);
            if (done == 0)
                done = leg_send(self, self->to_send, HEADER_BYTES + count);
            if (done == 0 && count == self->bulk_read)
                done = call1((PyObject *)self, names.bulk_out, object);
        } else if (count == 0) {
            done = local_ended(self, local);
        } else if (!not_now()) {
            done = call(object, names.lost);
        }
    }
    Py_DECREF(local);
    return done;
}

int leg_local_closed(Leg *self)
{
    Py_CLEAR(self->local);
    return leg_happen(self, rules.local_closed);
}

int leg_local_drained(Leg *self)
{
    self->full = 0;
    return leg_set_reading(self);
}

int leg_local_is_full(Leg *self)
{
    self->full = 1;
    return self->watched ? 0 : leg_be_watched(self);
}

int leg_set_reading(Leg *self)
{
    /* To pause, nothing is done until the next event: most dials are over before there is one. */
    if (self->full || self->dialling || self->state == rules.closed)
        return 0;
    return leg_watch(self, self->mask | EPOLLIN);
}
