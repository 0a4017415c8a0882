/* See fast/frames.FrameLeg: parses what arrives on a leg, in place in the shared buffer. */

#include "native.h"

#include <errno.h>

#define MAX_DATA_BYTES 0xFFFFFF
#define MOST_UNSENT 8192 /* see legbase.MOST_UNSENT */
enum { DATA, FIN, RST, OPEN, OPENED, DONE, PROBE, FRAMES };

/* Pieces of frames within `base` (a memoryview or bytes), whose bytes begin at `start`. */
typedef struct {
    PyObject *base;
    const char *start;
    struct iovec iov[MOST_PIECES];
    int count;
} Pieces;

static int first_bytes(Leg *self)
{
    if (IS_NONE(self->tally))
        return 0;
    Py_INCREF(self->tally);
    Py_XSETREF(self->meter, self->tally);
    return self->end ? 0 : leg_tell_owner(self, names.leg_first_byte, NULL);
}

/* Send to a local connection that is not a Local: 0 all taken, 1 it is full, -1 with OSError if it has closed. */
static int send_by_python(PyObject *local, Pieces *pieces)
{
    PyObject *list = PyList_New(pieces->count), *full = NULL;
    if (list == NULL)
        return -1;
    for (int i = 0; i < pieces->count; i++) {
        Py_ssize_t from = (char *)pieces->iov[i].iov_base - pieces->start;
        PyObject *piece = PySequence_GetSlice(pieces->base, from, from + (Py_ssize_t)pieces->iov[i].iov_len);
        if (piece == NULL) {
            Py_DECREF(list);
            return -1;
        }
        PyList_SET_ITEM(list, i, piece);
    }
    full = pieces->count == 1 ? PyObject_CallMethodOneArg(local, names.send, PyList_GET_ITEM(list, 0))
                              : PyObject_CallMethodOneArg(local, names.send_all, list);
    Py_DECREF(list);
    int sent = full == NULL ? -1 : PyObject_IsTrue(full);
    Py_XDECREF(full);
    return sent;
}

static int pass_on(Leg *self, Pieces *pieces)
{
    if (!(rules.delivers[self->end] >> self->state & 1)) {
        int known = rules.discards[self->end] >> self->state & 1;
        pieces->count = 0;
        return known ? 0 : leg_happen(self, rules.got_data);
    }
    if (IS_NONE(self->meter) && first_bytes(self) < 0)
        return -1;
    if (!IS_NONE(self->meter)) {
        Py_ssize_t size = 0;
        for (int i = 0; i < pieces->count; i++)
            size += (Py_ssize_t)pieces->iov[i].iov_len;
        if (tally_add(self->meter, 1, size) < 0)
            return -1;
    }
    PyObject *local = self->local;
    int done = 0;
    if (!IS_NONE(local)) {
        Py_INCREF(local);
        int sent = IS_LOCAL(local) ? local_send((Local *)local, pieces->iov, pieces->count)
                                   : send_by_python(local, pieces);
        if (sent < 0 && PyErr_ExceptionMatches(PyExc_OSError)) {
            PyErr_Clear();
            sent = 2;
        }
        done = sent == 1 ? leg_local_is_full(self) : sent == 2 ? call(local, names.lost) : sent;
        Py_DECREF(local);
    }
    pieces->count = 0;
    return done;
}

static void add_piece(Pieces *pieces, const char *data, Py_ssize_t size)
{
    pieces->iov[pieces->count++] = (struct iovec){(void *)data, (size_t)size};
}

int leg_take(Leg *self, PyObject *view, const char *data, Py_ssize_t count)
{
    Pieces pieces = {.base = view, .start = data, .count = 0};
    if (self->left >= count) {
        self->left -= count;
        add_piece(&pieces, data, count);
        return pass_on(self, &pieces);
    }
    return leg_parse(self, view, data, count);
}

/* Handle a frame other than DATA. Rare cases are left to LegBase.receive. */
static int receive(Leg *self, int kind, const char *body, Py_ssize_t size)
{
    int usual = kind == FIN || kind == OPEN || kind == DONE || kind == PROBE;
    if (kind == OPENED)
        usual = size == PyBytes_GET_SIZE(rules.opened) && !memcmp(body, PyBytes_AS_STRING(rules.opened), (size_t)size);
    else if (usual && kind != FIN) {
        Py_ssize_t unsent = leg_unsent(self);
        if (unsent < 0)
            return -1;
        usual = unsent <= MOST_UNSENT;
    }
    PyObject *bytes = PyBytes_FromStringAndSize(body, size);
    if (bytes == NULL)
        return -1;
    if (!usual) {
        PyObject *arguments[] = {(PyObject *)self, PyTuple_GET_ITEM(rules.frames, kind), bytes};
        PyObject *done = PyObject_VectorcallMethod(names.receive, arguments, 3, NULL);
        Py_DECREF(bytes);
        Py_XDECREF(done);
        return done == NULL ? -1 : 0;
    }
    Py_XSETREF(self->body, bytes);
    return leg_happen(self, rules.event_of_frame[kind]);
}

/* Return the type of a frame that is not DATA, or -1 with RemoteProtocolError, like legs.checked_header. */
static int kind_of(uint32_t header)
{
    int kind = (int)(header >> 24);
    Py_ssize_t length = header & MAX_DATA_BYTES;
    PyObject *reason = NULL;
    if (kind >= FRAMES)
        reason = PyUnicode_FromFormat("a leg frame of unknown type %d", kind);
    else if (kind == DATA)
        reason = PyUnicode_FromString("an empty DATA frame");
    else if (kind == RST || kind == OPEN || kind == OPENED ? length < 1 || length > MAX_BODY_BYTES : length > 0) {
        PyObject *name = PyObject_GetAttrString(PyTuple_GET_ITEM(rules.frames, kind), "name");
        if (name != NULL)
            reason = PyUnicode_FromFormat("a %U frame with a body of %zd bytes", name, length);
        Py_XDECREF(name);
    } else {
        return kind;
    }
    if (reason != NULL) {
        PyObject *problem = PyObject_CallOneArg(rules.breach, reason);
        if (problem != NULL)
            PyErr_SetObject(rules.breach, problem);
        Py_XDECREF(problem);
        Py_DECREF(reason);
    }
    return -1;
}

static int behind_done(void)
{
    PyObject *problem = PyObject_CallFunction(rules.breach, "s", "bytes behind DONE");
    if (problem != NULL)
        PyErr_SetObject(rules.breach, problem);
    Py_XDECREF(problem);
    return -1; /* the next visitor would receive them */
}

static uint32_t header_at(const char *data)
{
    const unsigned char *bytes = (const unsigned char *)data;
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

/* Parse `end` bytes. Returns how many of them were consumed, -1 with an exception set. */
static Py_ssize_t take_apart(Leg *self, Pieces *pieces, const char *data, Py_ssize_t end)
{
    Py_ssize_t position = 0;
    while (position < end && !self->dialling) {
        if (self->left) {
            Py_ssize_t size = self->left < end - position ? (Py_ssize_t)self->left : end - position;
            self->left -= size;
            add_piece(pieces, data + position, size);
            position += size;
            if (pieces->count == MOST_PIECES && pass_on(self, pieces) < 0)
                return -1;
            if (self->state == rules.closed)
                return end;
            continue;
        }
        Py_ssize_t start = position + HEADER_BYTES;
        if (start > end)
            break;
        uint32_t header = header_at(data + position);
        if (header > 0 && header <= MAX_DATA_BYTES) {
            /* So that the last piece ends its frame: see FrameLeg.unfinished. */
            if (pieces->count && start == end && pass_on(self, pieces) < 0)
                return -1;
            self->left = header;
            position = start;
            continue;
        }
        if (pieces->count && pass_on(self, pieces) < 0) /* also before a breach is noticed */
            return -1;
        if (self->state == rules.closed)
            return end;
        int kind = kind_of(header);
        if (kind < 0)
            return -1;
        Py_ssize_t length = header & MAX_DATA_BYTES;
        if (start + length > end)
            break;
        position = start + length;
        if (kind == DONE && position < end)
            return behind_done();
        if (receive(self, kind, data + start, length) < 0)
            return -1;
        if (self->state == rules.closed)
            return end;
    }
    if (pieces->count && pass_on(self, pieces) < 0)
        return -1;
    return position;
}

static int begin_local(Leg *self)
{
    PyObject *local = self->local;
    if (IS_NONE(local))
        return 0;
    int begins = IS_LOCAL(local) ? ((Local *)local)->begins : truth(local, names.begins);
    return begins > 0 ? call((PyObject *)self, names.begin_local) : begins;
}

int leg_parse(Leg *self, PyObject *base, const char *data, Py_ssize_t count)
{
    PyObject *joined = NULL;
    Py_ssize_t before = IS_NONE(self->inbuf) ? 0 : PyBytes_GET_SIZE(self->inbuf);
    if (before) {
        joined = PyBytes_FromStringAndSize(NULL, before + count);
        if (joined == NULL)
            return -1;
        memcpy(PyBytes_AS_STRING(joined), PyBytes_AS_STRING(self->inbuf), (size_t)before);
        if (count)
            memcpy(PyBytes_AS_STRING(joined) + before, data, (size_t)count);
        Py_CLEAR(self->inbuf);
        base = joined;
        data = PyBytes_AS_STRING(joined);
        count += before;
    }
    Pieces pieces = {.base = base, .start = data, .count = 0};
    self->parsing = 1;
    Py_ssize_t taken = take_apart(self, &pieces, data, count);
    self->parsing = 0;
    int done = taken < 0 ? -1 : 0;
    if (done == 0 && self->state != rules.closed) {
        if (taken < count) {
            PyObject *rest = PyBytes_FromStringAndSize(data + taken, count - taken);
            if (rest == NULL)
                done = -1;
            else
                Py_XSETREF(self->inbuf, rest);
        }
        if (done == 0)
            done = begin_local(self);
    }
    Py_XDECREF(joined);
    return done;
}
