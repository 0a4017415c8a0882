/* See fast/leg.FastLeg: what the poller and the local connection tell a leg; and net/legacts: what follows from it. */

#include "native.h"

#include <sys/epoll.h>
#include <sys/socket.h>

#define ERR (EPOLLERR | EPOLLHUP)

/* Events. */

static int acts_open(Leg *self)
{
    Py_ssize_t size = IS_NONE(self->body) ? 0 : PyBytes_GET_SIZE(self->body);
    unsigned char frame[HEADER_BYTES + MAX_BODY_BYTES];
    if (size < 1 || size > MAX_BODY_BYTES) /* a bug of ours, which the method in Python puts into words */
        return call((PyObject *)self, names.send_open);
    frame[0] = 3, frame[1] = 0, frame[2] = (unsigned char)(size >> 8), frame[3] = (unsigned char)size;
    memcpy(frame + HEADER_BYTES, PyBytes_AS_STRING(self->body), (size_t)size);
    return leg_write(self, (char *)frame, HEADER_BYTES + size);
}

int leg_cancel_timer(Leg *self)
{
    if (!self->limited)
        return 0;
    self->limited = 0;
    return deadlines_stop(self->deadlines, (PyObject *)self);
}

int leg_new_tally(Leg *self)
{
    PyObject *tally = PyObject_CallNoArgs(rules.tally);
    if (tally == NULL)
        return -1;
    Py_XSETREF(self->tally, tally);
    return 0;
}

/* Call `method` of the owner with the leg, and `more` if it is not NULL. */
int leg_tell_owner(Leg *self, PyObject *method, PyObject *more)
{
    PyObject *owner = self->owner, *arguments[] = {owner, (PyObject *)self, more};
    if (missing(owner))
        return -1;
    Py_INCREF(owner);
    PyObject *done = PyObject_VectorcallMethod(method, arguments, more == NULL ? 2 : 3, NULL);
    Py_DECREF(owner);
    Py_XDECREF(done);
    return done == NULL ? -1 : 0;
}

static int acts_dial(Leg *self)
{
    if (leg_cancel_timer(self) < 0 || leg_new_tally(self) < 0)
        return -1;
    self->opens++;
    self->dialling = 1;
    if (!self->watched && leg_be_watched(self) < 0)
        return -1;
    PyObject *body = self->body;
    if (missing(body))
        return -1;
    Py_INCREF(body);
    int done = leg_tell_owner(self, names.leg_open, body);
    Py_DECREF(body);
    return done;
}

static int acts_answered(Leg *self)
{
    if (self->held) {
        PyObject *done = PyObject_CallOneArg(rules.answered, (PyObject *)self);
        Py_XDECREF(done);
        return done == NULL ? -1 : 0;
    }
    return leg_cancel_timer(self) < 0 ? -1 : leg_tell_owner(self, names.leg_answered, NULL);
}

static int drained_if_full(Leg *self)
{
    return self->full ? leg_local_drained(self) : 0; /* nothing more is coming for it */
}

static int acts_half_close(Leg *self)
{
    PyObject *local = self->local;
    if (IS_NONE(local))
        return 0;
    if (!IS_LOCAL(local))
        return call1((PyObject *)self, names.half_close, local);
    Py_INCREF(local);
    int done = local_half_close((Local *)local);
    Py_DECREF(local);
    return done < 0 ? -1 : drained_if_full(self);
}

static int acts_finish(Leg *self)
{
    PyObject *local = self->local;
    if (IS_NONE(local))
        return 0;
    if (!IS_LOCAL(local))
        return call1((PyObject *)self, names.finish, local);
    Py_INCREF(local);
    int done = local_finish((Local *)local);
    Py_DECREF(local);
    return done < 0 ? -1 : drained_if_full(self);
}

static int ended(Leg *self)
{
    PyObject *tally = self->tally;
    self->tally = NULL;
    Py_CLEAR(self->meter);
    int done = 0;
    if (!IS_NONE(self->local))
        done = call((PyObject *)self, names.part);
    self->held = 0;
    Py_CLEAR(self->begins);
    Py_CLEAR(self->rst_code);
    if (!IS_NONE(tally) && done == 0) {
        PyObject *end = tally_end(tally, self->end == 0);
        done = end == NULL ? -1 : leg_tell_owner(self, names.leg_ended, end);
        Py_XDECREF(end);
    }
    Py_XDECREF(tally);
    return done;
}

static int acts_idle(Leg *self)
{
    if (self->limited && self->end == 0 && leg_cancel_timer(self) < 0)
        return -1;
    if (ended(self) < 0)
        return -1;
    return self->state == rules.idle ? leg_tell_owner(self, names.leg_idle, NULL) : 0;
}

static int act(Leg *self, const Act *what)
{
    switch (what->kind) {
    case ACT_WRITE: return leg_write(self, PyBytes_AS_STRING(what->what), PyBytes_GET_SIZE(what->what));
    case ACT_OPEN: return acts_open(self);
    case ACT_DIAL: return acts_dial(self);
    case ACT_ANSWERED: return acts_answered(self);
    case ACT_HALF_CLOSE: return acts_half_close(self);
    case ACT_FINISH: return acts_finish(self);
    case ACT_IDLE: return acts_idle(self);
    case ACT_PYTHON: break;
    }
    PyObject *done = PyObject_CallOneArg(what->what, (PyObject *)self);
    Py_XDECREF(done);
    return done == NULL ? -1 : 0;
}

int leg_happen(Leg *self, int event)
{
    int before = self->state;
    const Row *row = &rules.rows[self->end][before][event];
    if (!row->known) { /* a bug of ours, which the method in Python puts into words */
        PyObject *done = PyObject_CallFunctionObjArgs(
            rules.happen, (PyObject *)self, PyTuple_GET_ITEM(rules.events, event), NULL);
        Py_XDECREF(done);
        return done == NULL ? -1 : 0;
    }
    self->state = row->after;
    for (int i = 0; i < row->acts; i++)
        if (act(self, &row->act[i]) < 0)
            return -1;
    if (row->last == NULL)
        return 0;
    PyObject *done = PyObject_CallFunctionObjArgs(row->last, (PyObject *)self, PyTuple_GET_ITEM(rules.events, event),
                                                  PyTuple_GET_ITEM(rules.states, before), NULL);
    Py_XDECREF(done);
    return done == NULL ? -1 : 0;
}

/* What the poller says. */

/* Read what there is. Returns how much; 0 where that is nothing, or the connection is over and the leg knows; or -1. */
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
        return call((PyObject *)self, names.readable); /* datagrams; or much, from kernel to kernel */
    if (self->session != NULL)
        return tls_readable(self);
    Py_ssize_t count = leg_read(self, self->in, self->in_size);
    if (count <= 0)
        return (int)count;
    if (leg_take(self, self->from_leg, self->in, count) < 0)
        return -1;
    return self->left >= self->bulk ? call((PyObject *)self, names.bulk_in) : 0;
}

/* The other end broke the protocol: RemoteProtocolError is set. */
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
            done = leg_watch(self, self->mask & ~EPOLLIN); /* paused, and this is the first event since */
    }
    if (done < 0 && PyErr_ExceptionMatches(rules.breach))
        done = breach(self);
    done = leg_uncork_behind(self, done);
    Py_DECREF(self);
    return done;
}

/* What the local connection says. */

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
    /* To pause is to do nothing until the next event: most dials are over before there is one. */
    if (self->full || self->dialling || self->state == rules.closed)
        return 0;
    return leg_watch(self, self->mask | EPOLLIN);
}
