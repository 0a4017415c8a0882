/* See fast/local.FastLocal: the connection of a visitor or target. */

#include "native.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define ERR (EPOLLERR | EPOLLHUP)
#define RESET EPOLLERR

int local_watch(Local *self, int mask)
{
    int done = self->mask < 0 ? poller_add(self->poller, self->fd, mask, (PyObject *)self, LOCAL)
                              : poller_set(self->poller, self->fd, mask);
    if (done == 0)
        self->mask = mask;
    return done;
}

int local_blocked(Local *self)
{
    if (waiting(self->out))
        return 1;
    return IS_NONE(self->pipe) ? 0 : truth(self->pipe, names.held);
}

/* Queue what follows the first `sent` bytes of the pieces. */
static int keep(Local *self, struct iovec *pieces, int count, Py_ssize_t sent)
{
    for (int i = 0; i < count; i++) {
        Py_ssize_t size = (Py_ssize_t)pieces[i].iov_len;
        if (sent >= size) {
            sent -= size;
            continue;
        }
        if (append(&self->out, (char *)pieces[i].iov_base + sent, size - sent) < 0)
            return -1;
        sent = 0;
    }
    return 0;
}

int local_send(Local *self, struct iovec *pieces, int count)
{
    if (waiting(self->out)) {
        if (keep(self, pieces, count, 0) < 0)
            return -1;
        if (!self->begins)
            return 1;
        PyObject *some = PyObject_CallMethodNoArgs((PyObject *)self, names.begin);
        if (some == NULL) {
            if (!PyErr_ExceptionMatches(PyExc_OSError))
                return -1;
            PyErr_Clear();
            errno = ECONNRESET;
            return 2;
        }
        int waits = PyObject_IsTrue(some);
        Py_DECREF(some);
        return waits;
    }
    Py_ssize_t sent, size = 0;
    for (int i = 0; i < count; i++)
        size += (Py_ssize_t)pieces[i].iov_len;
    if (count == 1) {
        sent = send(self->fd, pieces[0].iov_base, pieces[0].iov_len, MSG_NOSIGNAL);
    } else {
        struct msghdr message = {.msg_iov = pieces, .msg_iovlen = (size_t)count};
        sent = sendmsg(self->fd, &message, MSG_NOSIGNAL);
    }
    if (sent == size)
        return 0;
    if (sent < 0) {
        if (!not_now())
            return 2;
        sent = 0;
    }
    if (keep(self, pieces, count, sent) < 0 || local_watch(self, (self->mask < 0 ? 0 : self->mask) | EPOLLOUT) < 0)
        return -1;
    return 1;
}

int local_read_more(Local *self, int on)
{
    on = on && !self->read_ended && !self->gone;
    self->reading = (char)on;
    if (self->mask < 0)
        return self->gone ? 0 : local_watch(self, on ? EPOLLIN : 0);
    return on && !(self->mask & EPOLLIN) ? local_watch(self, self->mask | EPOLLIN) : 0;
}

int local_rest(Local *self)
{
    return self->mask > 0 && self->mask & EPOLLIN ? local_watch(self, self->mask & ~EPOLLIN) : 0;
}

/* Keep the first exception of several steps that must all be tried. */
static void first_failure(PyObject *kept[3])
{
    if (kept[0] == NULL)
        PyErr_Fetch(&kept[0], &kept[1], &kept[2]);
    else
        PyErr_Clear();
}

/* Call `method` of `tools.part` with an argument. */
static int tell_tools(Local *self, PyObject *part, PyObject *method, PyObject *argument)
{
    PyObject *object = missing(self->tools) ? NULL : PyObject_GetAttr(self->tools, part);
    int done = object == NULL ? -1 : call1(object, method, argument);
    Py_XDECREF(object);
    return done;
}

int local_close(Local *self)
{
    PyObject *kept[3] = {NULL, NULL, NULL};
    self->gone = 1;
    Py_CLEAR(self->leg);
    if (self->mask >= 0) {
        self->mask = -1;
        if (poller_remove(self->poller, self->fd) < 0)
            first_failure(kept);
    }
    if (!IS_NONE(self->pipe)) {
        PyObject *pipe = self->pipe;
        self->pipe = NULL;
        if (tell_tools(self, names.pipes, names.give_back, pipe) < 0)
            first_failure(kept);
        Py_DECREF(pipe);
    }
    if (self->looked_at && tell_tools(self, names.watch, names.remove, (PyObject *)self) < 0)
        first_failure(kept);
    int fd = self->fd;
    self->fd = -1; /* the number may belong to another connection a moment later */
    if (self->sock != NULL) {
        if (call(self->sock, names.close) < 0)
            first_failure(kept);
    } else if (fd >= 0) {
        close(fd);
    }
    if (PySet_Discard(self->others, (PyObject *)self) < 0)
        first_failure(kept);
    if (kept[0] == NULL)
        return 0;
    PyErr_Restore(kept[0], kept[1], kept[2]);
    return -1;
}

static int say_gone(Local *self)
{
    if (IS_NONE(self->on_gone) || self->on_gone == rules.ignore)
        return 0;
    PyObject *on_gone = self->on_gone;
    Py_INCREF(on_gone); /* the call may replace it */
    PyObject *said = PyObject_CallNoArgs(on_gone);
    Py_DECREF(on_gone);
    Py_XDECREF(said);
    return said == NULL ? -1 : 0;
}

int local_shut_down(Local *self)
{
    static const struct linger off = {0, 0};
    if (self->gone)
        return 0;
    int failed = 0;
    if (!self->shut) {
        self->shut = 1;
        failed = shutdown(self->fd, SHUT_WR) < 0;
    }
    /* The kernel has all bytes and the FIN: from here on the death of this process loses nothing. */
    if (!failed && self->finishing)
        failed = setsockopt(self->fd, SOL_SOCKET, SO_LINGER, &off, sizeof off) < 0;
    if (failed) /* It was reset. half_close does not call back; the descriptor's own event will report it. */
        return self->finishing ? call((PyObject *)self, names.lost) : 0;
    if (!self->finishing)
        return 0;
    PyObject *leg = self->leg;
    Py_XINCREF(leg);
    int done = local_close(self);
    if (!IS_NONE(leg) && done == 0)
        done = IS_LEG(leg) ? leg_local_closed((Leg *)leg) : call(leg, names.local_closed);
    Py_XDECREF(leg);
    return done < 0 ? -1 : say_gone(self);
}

int local_half_close(Local *self)
{
    self->half_closing = 1;
    int blocked = local_blocked(self);
    return blocked ? (blocked < 0 ? -1 : 0) : local_shut_down(self);
}

int local_finish(Local *self)
{
    self->finishing = self->half_closing = 1;
    int blocked = local_blocked(self);
    if (blocked)
        return blocked < 0 ? -1 : call((PyObject *)self, names.later);
    return local_shut_down(self);
}

int local_handle(Local *self, int events)
{
    int done = 0;
    Py_INCREF(self);
    if (events & EPOLLOUT)
        done = call((PyObject *)self, names.flush_local);
    if (done < 0 || self->gone) {
        ;
    } else if (events & EPOLLIN && !IS_NONE(self->leg) && self->reading) {
        PyObject *leg = self->leg;
        Py_INCREF(leg);
        done = IS_LEG(leg) ? leg_local_readable((Leg *)leg) : call(leg, names.local_readable);
        Py_DECREF(leg);
    } else if (events & RESET) {
        done = call((PyObject *)self, names.lost);
    } else if (events & ERR && !self->reading) {
        done = call((PyObject *)self, names.forget);
    } else if (events & EPOLLIN && self->mask >= 0) {
        done = local_watch(self, self->mask & ~EPOLLIN);
    }
    Py_DECREF(self);
    return done;
}
