/* See wire/openform: encodes and decodes the usual form of an OPEN, and computes its proof. Pure functions. */

#include "native.h"

#define MOST_CONN 64
#define MOST_ADDRESS 320
#define MOST_MAPPING 128
#define MAC_BYTES 32
#define MOST_BYTES 1024 /* more than such a body has with the longest of all fields */

typedef struct {
    const char *text;
    Py_ssize_t size;
} Piece;

/* Whether it is a printable ASCII character that JSON writes as itself. */
static int is_usual(unsigned char character)
{
    return character >= ' ' && character <= '~' && character != '"' && character != '\\';
}

/* Return 1 and the content of a text if it has the usual form, 0 if not. */
static int piece_of(PyObject *text, Py_ssize_t most, Piece *piece)
{
    if (!PyUnicode_CheckExact(text) || !PyUnicode_IS_COMPACT_ASCII(text))
        return 0;
    *piece = (Piece){(const char *)PyUnicode_1BYTE_DATA(text), PyUnicode_GET_LENGTH(text)};
    if (piece->size < 1 || piece->size > most)
        return 0;
    for (Py_ssize_t i = 0; i < piece->size; i++)
        if (!is_usual((unsigned char)piece->text[i]))
            return 0;
    return 1;
}

static char *put(char *at, const char *text, Py_ssize_t size)
{
    memcpy(at, text, (size_t)size);
    return at + size;
}

#define PUT(at, literal) put(at, literal, sizeof literal - 1)

static char *put_number(char *at, unsigned long long number)
{
    char digits[20];
    int first = 20;
    do
        digits[--first] = (char)('0' + number % 10);
    while (number /= 10);
    return put(at, digits + first, 20 - first);
}

static char *put_hex(char *at, const unsigned char *bytes, Py_ssize_t count)
{
    for (Py_ssize_t i = 0; i < count; i++) {
        *at++ = "0123456789abcdef"[bytes[i] >> 4];
        *at++ = "0123456789abcdef"[bytes[i] & 15];
    }
    return at;
}

static int counted(Py_ssize_t count, Py_ssize_t wanted)
{
    if (count == wanted)
        return 0;
    PyErr_Format(PyExc_TypeError, "%zd arguments, not %zd", wanted, count);
    return -1;
}

/* write(conn, src, mapping, n, mac, dst) */
PyObject *write_open(PyObject *Py_UNUSED(module), PyObject *const *arguments, Py_ssize_t count)
{
    Piece conn, src, mapping, dst = {NULL, 0};
    unsigned long long n = 0;
    if (counted(count, 6) < 0)
        return NULL;
    PyObject *number = arguments[3], *mac = arguments[4];
    if (!piece_of(arguments[0], MOST_CONN, &conn) || !piece_of(arguments[1], MOST_ADDRESS, &src) ||
        !piece_of(arguments[2], MOST_MAPPING, &mapping) ||
        (!IS_NONE(arguments[5]) && !piece_of(arguments[5], MOST_ADDRESS, &dst)))
        Py_RETURN_NONE;
    if (!IS_NONE(number) || !IS_NONE(mac)) {
        if (!PyLong_CheckExact(number) || !PyBytes_CheckExact(mac) || PyBytes_GET_SIZE(mac) != MAC_BYTES)
            Py_RETURN_NONE;
        n = PyLong_AsUnsignedLongLong(number);
        if (PyErr_Occurred() || n == 0 || n >= 10000000000000000000ULL) {
            PyErr_Clear();
            Py_RETURN_NONE;
        }
    }
    char body[MOST_BYTES], *at = PUT(body, "{\"conn\":\"");
    at = PUT(put(at, conn.text, conn.size), "\",\"src\":\"");
    at = PUT(put(at, src.text, src.size), "\",\"mapping\":\"");
    at = PUT(put(at, mapping.text, mapping.size), "\"");
    if (n) {
        at = PUT(put_number(PUT(at, ",\"n\":"), n), ",\"mac\":\"");
        at = PUT(put_hex(at, (unsigned char *)PyBytes_AS_STRING(mac), MAC_BYTES), "\"");
    }
    if (dst.text != NULL)
        at = PUT(put(PUT(at, ",\"dst\":\""), dst.text, dst.size), "\"");
    *at++ = '}';
    return PyBytes_FromStringAndSize(body, at - body);
}

/* Decoding: each function consumes something from the front of `left`, and returns whether it was there. */

static int take(Piece *left, const char *text, Py_ssize_t size)
{
    if (left->size < size || memcmp(left->text, text, (size_t)size))
        return 0;
    left->text += size;
    left->size -= size;
    return 1;
}

#define TAKE(left, literal) take(left, literal, sizeof literal - 1)

static int take_piece(Piece *left, Py_ssize_t most, Piece *piece)
{
    Py_ssize_t size = 0, end = left->size < most ? left->size : most;
    while (size < end && is_usual((unsigned char)left->text[size]))
        size++;
    *piece = (Piece){left->text, size};
    left->text += size;
    left->size -= size;
    return size > 0 && TAKE(left, "\"");
}

static int take_number(Piece *left, unsigned long long *number)
{
    int digits = 0;
    for (; digits < 19 && left->size && *left->text >= '0' && *left->text <= '9'; digits++) {
        *number = 10 * *number + (unsigned long long)(*left->text - '0');
        left->text++;
        left->size--;
        if (*number == 0)
            return 0;
    }
    return digits > 0;
}

static int nibble(char digit)
{
    return digit >= '0' && digit <= '9' ? digit - '0' : digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

static int take_mac(Piece *left, char *mac)
{
    if (left->size < 2 * MAC_BYTES)
        return 0;
    for (int i = 0; i < MAC_BYTES; i++) {
        int high = nibble(left->text[2 * i]), low = nibble(left->text[2 * i + 1]);
        if (high < 0 || low < 0)
            return 0;
        mac[i] = (char)(high << 4 | low);
    }
    left->text += 2 * MAC_BYTES;
    left->size -= 2 * MAC_BYTES;
    return TAKE(left, "\"");
}

static PyObject *text_of(const Piece *piece)
{
    PyObject *text = PyUnicode_New(piece->size, 127);
    if (text != NULL)
        memcpy(PyUnicode_1BYTE_DATA(text), piece->text, (size_t)piece->size);
    return text;
}

/* read(body) */
PyObject *read_open(PyObject *Py_UNUSED(module), PyObject *body)
{
    if (!PyBytes_Check(body))
        Py_RETURN_NONE;
    Piece left = {PyBytes_AS_STRING(body), PyBytes_GET_SIZE(body)}, conn, src, mapping, dst = {NULL, 0};
    unsigned long long n = 0;
    char mac[MAC_BYTES];
    if (!TAKE(&left, "{\"conn\":\"") || !take_piece(&left, MOST_CONN, &conn) || !TAKE(&left, ",\"src\":\"") ||
        !take_piece(&left, MOST_ADDRESS, &src) || !TAKE(&left, ",\"mapping\":\"") ||
        !take_piece(&left, MOST_MAPPING, &mapping))
        Py_RETURN_NONE;
    if (TAKE(&left, ",\"n\":") && (!take_number(&left, &n) || !TAKE(&left, ",\"mac\":\"") || !take_mac(&left, mac)))
        Py_RETURN_NONE;
    if (TAKE(&left, ",\"dst\":\"") && !take_piece(&left, MOST_ADDRESS, &dst))
        Py_RETURN_NONE;
    if (!TAKE(&left, "}") || left.size)
        Py_RETURN_NONE;
    PyObject *found[] = {
        text_of(&conn), text_of(&src), text_of(&mapping), n ? PyLong_FromUnsignedLongLong(n) : Py_NewRef(Py_None),
        n ? PyBytes_FromStringAndSize(mac, MAC_BYTES) : Py_NewRef(Py_None),
        dst.text != NULL ? text_of(&dst) : Py_NewRef(Py_None),
    };
    PyObject *fields = PyTuple_New(6);
    for (int i = 0; i < 6; i++) {
        if (found[i] == NULL)
            Py_CLEAR(fields);
        if (fields == NULL)
            Py_XDECREF(found[i]);
        else
            PyTuple_SET_ITEM(fields, i, found[i]);
    }
    return fields;
}

/* Proving. */

static char *put_big(char *at, unsigned long long number, int bytes)
{
    for (int i = bytes - 1; i >= 0; i--)
        *at++ = (char)(number >> 8 * i);
    return at;
}

/* Return the digest of `begun` continued with `more`, as a new reference. */
static PyObject *hashed(PyObject *begun, PyObject *more)
{
    PyObject *hash = PyObject_CallMethodNoArgs(begun, names.copy), *digest = NULL;
    PyObject *done = hash == NULL ? NULL : PyObject_CallMethodOneArg(hash, names.update, more);
    if (done != NULL)
        digest = PyObject_CallMethodNoArgs(hash, names.digest);
    Py_XDECREF(done);
    Py_XDECREF(hash);
    return digest;
}

/* prove(begun, ended, n, kind, name, conn, src, dst) */
PyObject *prove_open(PyObject *Py_UNUSED(module), PyObject *const *arguments, Py_ssize_t count)
{
    if (counted(count, 8) < 0)
        return NULL;
    unsigned long long n = PyLong_AsUnsignedLongLong(arguments[2]);
    if (n == (unsigned long long)-1 && PyErr_Occurred())
        return NULL;
    Piece parts[5];
    Py_ssize_t size = 8;
    int last = IS_NONE(arguments[7]) ? 4 : 5;
    for (int i = 0; i < last; i++) {
        parts[i].text = PyUnicode_AsUTF8AndSize(arguments[3 + i], &parts[i].size);
        if (parts[i].text == NULL)
            return NULL;
        size += 4 + parts[i].size;
    }
    PyObject *said = PyBytes_FromStringAndSize(NULL, size);
    if (said == NULL)
        return NULL;
    char *at = put_big(PyBytes_AS_STRING(said), n, 8);
    for (int i = 0; i < last; i++)
        at = put(put_big(at, (unsigned long long)parts[i].size, 4), parts[i].text, parts[i].size);
    PyObject *inner = hashed(arguments[0], said);
    PyObject *mac = inner == NULL ? NULL : hashed(arguments[1], inner);
    Py_XDECREF(inner);
    Py_DECREF(said);
    return mac;
}
