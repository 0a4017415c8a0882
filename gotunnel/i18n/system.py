"""Chinese for English texts of others on this machine: of errno, the resolver, SQLite and OpenSSL. They are values of
our sentences. Texts that are missing here stay English."""

from __future__ import annotations

import errno
import os

__all__ = ["of_system"]

_ERRNO = {
    errno.EPERM: "不允许的操作", errno.ENOENT: "没有那个文件或目录", errno.EIO: "输入/输出错误",
    errno.EBADF: "错误的文件描述符", errno.EAGAIN: "资源暂时不可用", errno.ENOMEM: "内存不足",
    errno.EACCES: "权限不够", errno.EBUSY: "设备或资源忙", errno.EEXIST: "文件已存在", errno.EXDEV: "跨设备的链接",
    errno.ENODEV: "没有那个设备", errno.ENOTDIR: "不是目录", errno.EISDIR: "是一个目录", errno.EINVAL: "无效的参数",
    errno.ENFILE: "系统打开的文件过多", errno.EMFILE: "打开的文件过多", errno.EFBIG: "文件过大",
    errno.ENOSPC: "设备上没有空间", errno.EROFS: "只读文件系统", errno.EPIPE: "断开的管道",
    errno.ENAMETOOLONG: "文件名过长", errno.ELOOP: "符号链接的层数过多", errno.EPROTO: "协议错误",
    errno.ENOTSOCK: "对非套接字进行套接字操作", errno.EMSGSIZE: "消息过长", errno.EOPNOTSUPP: "不支持的操作",
    errno.EAFNOSUPPORT: "不支持的地址族", errno.EADDRINUSE: "地址已在使用", errno.EADDRNOTAVAIL: "无法使用所请求的地址",
    errno.ENETDOWN: "网络已关闭", errno.ENETUNREACH: "网络不可达", errno.ECONNABORTED: "连接被中止",
    errno.ECONNRESET: "连接被对方重置", errno.ENOBUFS: "没有可用的缓冲区空间", errno.ENOTCONN: "套接字没有连接",
    errno.ETIMEDOUT: "连接超时", errno.ECONNREFUSED: "连接被拒绝", errno.EHOSTDOWN: "主机已关闭",
    errno.EHOSTUNREACH: "没有到主机的路由", errno.EALREADY: "操作已经在进行", errno.EINPROGRESS: "操作正在进行",
    errno.EDQUOT: "超出磁盘配额", errno.ESTALE: "过期的文件句柄", errno.ENOEXEC: "可执行文件格式错误",
    errno.ETXTBSY: "文本文件忙", errno.ECHILD: "没有子进程", errno.ENOSYS: "系统没有这个功能",
}  # fmt: skip

_OTHERS = {
    # The resolver.
    "Name or service not known": "名字或服务未知", "Temporary failure in name resolution": "名字解析暂时失败",
    "No address associated with hostname": "该主机名没有地址",
    "Non-recoverable failure in name resolution": "名字解析失败，无法恢复",
    # SQLite.
    "database is locked": "数据库被锁住", "unable to open database file": "无法打开数据库文件",
    "disk I/O error": "磁盘输入/输出错误", "attempt to write a readonly database": "数据库是只读的",
    "database or disk is full": "数据库或磁盘已满", "file is not a database": "文件不是数据库",
    "database disk image is malformed": "数据库文件已损坏",
    # OpenSSL, as `ssl` names its reasons, and as OpenSSL itself does.
    "certificate verify failed": "证书校验失败", "unexpected eof while reading": "读取时对方意外关闭",
    "UNEXPECTED_EOF_WHILE_READING": "读取时对方意外关闭", "wrong version number": "版本号错误（那边说的不是 TLS）",
    "WRONG_VERSION_NUMBER": "版本号错误（那边说的不是 TLS）", "http request": "收到的是 HTTP 请求",
    "HTTP_REQUEST": "收到的是 HTTP 请求", "no shared cipher": "没有共同的加密套件",
    "NO_SHARED_CIPHER": "没有共同的加密套件", "unsupported protocol": "不支持的协议版本",
    "UNSUPPORTED_PROTOCOL": "不支持的协议版本", "certificate has expired": "证书已过期",
    "certificate is not yet valid": "证书尚未生效", "self-signed certificate": "自签名证书",
    "self-signed certificate in certificate chain": "证书链中有自签名证书",
    "unable to get local issuer certificate": "找不到签发者的证书",
    "unable to get issuer certificate": "找不到签发者的证书", "certificate revoked": "证书已被吊销",
    "invalid CA certificate": "CA 证书无效", "Hostname mismatch": "主机名不符",
    "tlsv1 alert protocol version": "对方不接受这个 TLS 版本", "sslv3 alert handshake failure": "对方拒绝了握手",
    "ssl/tls alert handshake failure": "对方拒绝了握手", "tlsv1 alert unknown ca": "对方不认识签发证书的机构",
    "tlsv1 alert internal error": "对方内部错误", "no start line": "没有 PEM 的起始行",
    "bad end line": "PEM 的结束行有误", "key values mismatch": "密钥与证书不配对",
    # Python.
    "timed out": "超时",
}  # fmt: skip


def of_system() -> dict[str, str]:
    """Return the Chinese for each text, also for its form within our sentences, with a lower-case first letter."""
    known = {os.strerror(number): words for number, words in _ERRNO.items()} | _OTHERS
    return {each.lower(): words for each, words in known.items()} | known
